package console

import (
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// Clock estimates how long work still takes, from what it has been told.
type Clock struct {
	begin              time.Time
	first, done, total int
}

// Set tells how much is done. The time begins with the first call: what comes
// before it sets things up, or was done by an earlier process.
func (c *Clock) Set(done, total int) {
	if c.begin.IsZero() {
		c.begin, c.first = time.Now(), done
	}
	c.done, c.total = done, total
}

// Left returns the time left, "?" while nothing is known of it.
func (c *Clock) Left() string {
	switch {
	case c.begin.IsZero():
		return "?"
	case c.done >= c.total:
		return "0s"
	case c.done <= c.first:
		return "?"
	}
	perUnit := float64(time.Since(c.begin)) / float64(c.done-c.first)
	return time.Duration(perUnit * float64(c.total-c.done)).Round(time.Second).String()
}

// Bars draws bars on a terminal, one below the other, which all stand for the
// same progress.
type Bars struct {
	container *mpb.Progress
	bars      []*mpb.Bar
}

// NewBars draws a bar for each title, with its status after it, which is asked
// for from another goroutine.
func NewBars(w io.Writer, titles []string, status func(i int) string) *Bars {
	b := &Bars{container: mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh())}
	for i, title := range titles {
		// How much there is to do is known with the first Set.
		b.bars = append(b.bars, b.container.New(0, mpb.BarStyle(),
			mpb.PrependDecorators(decor.Name(title, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + status(i) }, decor.WCSyncSpaceR)),
			mpb.BarFillerTrim(), mpb.BarWidth(20)))
	}
	return b
}

// Set tells how much is done.
func (b *Bars) Set(done, total int) {
	for _, bar := range b.bars {
		bar.SetTotal(int64(total), false)
		bar.SetCurrent(int64(done))
	}
}

// Finish leaves the terminal in order, whether or not all is done.
func (b *Bars) Finish() {
	for _, bar := range b.bars {
		bar.Abort(false) // which leaves a complete bar as it is
	}
	b.container.Wait()
}

// IsTerminal reports whether w is one.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}
