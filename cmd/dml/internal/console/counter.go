package console

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// Work that is over after patience shows no progress; lines are so far apart.
const (
	patience = 2 * time.Second
	pause    = 10 * time.Second
)

// counter shows how many of a number of things are done: nothing if quiet or
// soon over, a bar on a terminal, lines elsewhere.
type counter struct {
	w           io.Writer
	quiet       bool
	title, noun string

	mu          sync.Mutex
	before      int // done before the work began
	begin, last time.Time
	container   *mpb.Progress
	bar         *mpb.Bar
}

// NewCounter starts the clock. The title says what is done, the noun to what:
// "drawing", "images".
func NewCounter(w io.Writer, quiet bool, title, noun string) *counter {
	return &counter{w: w, quiet: quiet, title: title, noun: noun, begin: time.Now()}
}

// Resume tells how many were done before the work began, which set counts too.
func (c *counter) Resume(done, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = done
	if !c.quiet {
		fmt.Fprintf(c.w, "%s: going on after %s of %s %s\n", c.title, Grouped(done), Grouped(total), c.noun)
	}
}

// left estimates the time to the end.
func left(since time.Duration, done, todo int) time.Duration {
	return time.Duration(float64(since) * float64(todo) / float64(max(done, 1))).Round(time.Second)
}

// Set tells how many are done.
func (c *counter) Set(done, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.quiet || done <= c.before || now.Sub(c.begin) < patience {
		return
	}
	if !IsTerminal(c.w) {
		if now.Sub(c.last) >= pause {
			c.last = now
			fmt.Fprintf(c.w, "%s: %s of %s %s, %s left\n", c.title, Grouped(done), Grouped(total), c.noun, left(now.Sub(c.begin), done-c.before, total-done))
		}
		return
	}
	if c.bar == nil {
		c.container = mpb.New(mpb.WithOutput(c.w), mpb.WithAutoRefresh())
		begin, before := c.begin, c.before
		c.bar = c.container.New(0, mpb.BarStyle(),
			mpb.PrependDecorators(decor.Name(c.title+" ")),
			mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
				return fmt.Sprintf(" %s/%s %s, %s left", Grouped(s.Current), Grouped(s.Total), c.noun,
					left(time.Since(begin), int(s.Current)-before, int(s.Total-s.Current)))
			})),
			mpb.BarFillerTrim(), mpb.BarWidth(20))
	}
	c.bar.SetTotal(int64(total), false)
	c.bar.SetCurrent(int64(done))
}

// Finish leaves the terminal in order, whether or not all is done.
func (c *counter) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		c.bar.Abort(false) // which leaves a complete bar as it is
		c.container.Wait()
		c.bar = nil
	}
}

// IsTerminal reports whether w is one.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}
