package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/deepmutual/dml/train"
)

// progress shows how a run goes on.
type progress interface {
	step(train.StepReport)
	epoch(train.EpochReport)
	// finish leaves the terminal in order, whether or not the run is complete.
	finish()
}

// newProgress shows nothing if quiet, bars on a terminal, and lines elsewhere.
func newProgress(w io.Writer, quiet bool, cfg train.Config) progress {
	switch {
	case quiet:
		return silent{}
	case isTerminal(w):
		return newBars(w, cfg)
	}
	return &lines{w: w, clock: clock{epochs: cfg.Epochs}, mode: cfg.Mode}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}

type silent struct{}

func (silent) step(train.StepReport)   {}
func (silent) epoch(train.EpochReport) {}
func (silent) finish()                 {}

// clock estimates the time a run still takes, from the steps it has seen.
type clock struct {
	epochs     int
	begin      time.Time
	seen, left int // steps
}

func (c *clock) step(r train.StepReport) {
	if c.begin.IsZero() {
		c.begin = time.Now() // the first step, which sets things up, is not counted
	} else {
		c.seen++
	}
	c.left = (r.Epochs-r.Epoch)*r.Steps + r.Steps - r.Step
}

// remaining returns the time left, "?" while nothing is known of it.
func (c *clock) remaining() string {
	if c.seen == 0 {
		return "?"
	}
	return (time.Since(c.begin) * time.Duration(c.left) / time.Duration(c.seen)).Round(time.Second).String()
}

// lines prints a line for each student and epoch.
type lines struct {
	w io.Writer
	clock
	mode train.Mode
}

func (l *lines) epoch(r train.EpochReport) {
	for _, s := range r.Students {
		best := ""
		if s.Best {
			best = " (best)"
		}
		fmt.Fprintf(l.w, "epoch %d/%d  %s  %s  accuracy %s, validation %s%s  %.0f images/s  %s left\n",
			r.Epoch, l.epochs, s.Name, losses(l.mode, s.Loss, s.Mimicry), percent(s.TrainAccuracy), percent(s.Validation.Accuracy), best,
			r.ImagesPerSecond, l.remaining())
	}
}

func (*lines) finish() {}

// losses shows the mimicry loss of students that have one.
func losses(mode train.Mode, loss, mimicry float64) string {
	if mode == train.ModeIndependent {
		return fmt.Sprintf("loss %.4f", loss)
	}
	return fmt.Sprintf("loss %.4f  mimicry %.4f", loss, mimicry)
}

// bars draws one bar for each student.
type bars struct {
	container *mpb.Progress
	bars      []*mpb.Bar
	mode      train.Mode

	mu         sync.Mutex // guards what follows: mpb draws from its own goroutine
	clock      clock
	students   []train.StudentStep
	validation []string
	speed      float64
}

func newBars(w io.Writer, cfg train.Config) *bars {
	b := &bars{
		container:  mpb.New(mpb.WithOutput(w), mpb.WithWidth(24), mpb.WithAutoRefresh()),
		mode:       cfg.Mode,
		clock:      clock{epochs: cfg.Epochs},
		students:   make([]train.StudentStep, len(cfg.Students)),
		validation: make([]string, len(cfg.Students)),
	}
	for i, s := range cfg.Students {
		// The number of steps is known with the first of them.
		b.bars = append(b.bars, b.container.New(0, mpb.BarStyle(),
			mpb.PrependDecorators(decor.Name(s.Name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.status(i) }, decor.WCSyncSpaceR)),
			mpb.BarFillerTrim()))
	}
	return b
}

// status is the text after the bar of student i.
func (b *bars) status(i int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.students[i]
	return fmt.Sprintf("%s  accuracy %s%s  %.0f images/s  %s left",
		losses(b.mode, s.Loss, s.Mimicry), percent(s.Accuracy), b.validation[i], b.speed, b.clock.remaining())
}

func (b *bars) step(r train.StepReport) {
	b.mu.Lock()
	b.clock.step(r)
	copy(b.students, r.Students)
	b.speed = r.ImagesPerSecond
	b.mu.Unlock()
	for _, bar := range b.bars {
		bar.SetTotal(int64(r.Epochs*r.Steps), false)
		bar.SetCurrent(int64((r.Epoch-1)*r.Steps + r.Step))
	}
}

func (b *bars) epoch(r train.EpochReport) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range r.Students {
		b.validation[i] = fmt.Sprintf(" (validation %s)", percent(s.Validation.Accuracy))
	}
}

func (b *bars) finish() {
	for _, bar := range b.bars {
		bar.SetTotal(-1, true) // what is drawn is all there will be
	}
	b.container.Wait()
}
