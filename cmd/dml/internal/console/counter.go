package console

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Work that is over after patience shows no progress; lines are so far apart.
const (
	patience = 2 * time.Second
	pause    = 10 * time.Second
)

// Counter shows how many of a number of things are done: nothing if quiet or
// soon over, a bar on a terminal, lines elsewhere.
type Counter struct {
	w           io.Writer
	quiet       bool
	title, noun string
	begin       time.Time

	mu    sync.Mutex // guards what follows: bars are drawn from another goroutine
	clock Clock
	last  time.Time // line
	bars  *Bars
}

// NewCounter starts to be patient. The title says what is done, the noun to
// what: "drawing", "images".
func NewCounter(w io.Writer, quiet bool, title, noun string) *Counter {
	return &Counter{w: w, quiet: quiet, title: title, noun: noun, begin: time.Now()}
}

// Resume tells how many were done before the work began, which Set counts too.
func (c *Counter) Resume(done, total int) {
	if !c.quiet {
		fmt.Fprintf(c.w, "%s: going on after %s of %s %s\n", c.title, Grouped(done), Grouped(total), c.noun)
	}
}

// Set tells how many are done.
func (c *Counter) Set(done, total int) {
	c.mu.Lock()
	c.clock.Set(done, total)
	c.mu.Unlock()
	now := time.Now()
	if c.quiet || done <= c.clock.first || now.Sub(c.begin) < patience {
		return
	}
	if IsTerminal(c.w) {
		if c.bars == nil {
			c.bars = NewBars(c.w, []string{c.title}, func(int) string { return c.status() })
		}
		c.bars.Set(done, total)
	} else if now.Sub(c.last) >= pause {
		c.last = now
		fmt.Fprintf(c.w, "%s: %s\n", c.title, c.status())
	}
}

func (c *Counter) status() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%s of %s %s, %s left", Grouped(c.clock.done), Grouped(c.clock.total), c.noun, c.clock.Left())
}

// Finish leaves the terminal in order, whether or not all is done.
func (c *Counter) Finish() {
	if c.bars != nil {
		c.bars.Finish()
		c.bars = nil
	}
}
