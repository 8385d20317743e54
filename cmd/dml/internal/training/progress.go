package training

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/train"
)

// Progress shows how a run goes on.
type Progress interface {
	Step(train.StepReport)
	Epoch(train.EpochReport)
	// Finish leaves the terminal in order, whether or not the run is complete.
	Finish()
}

// NewProgress shows nothing if quiet, bars on a terminal, and lines elsewhere.
func NewProgress(w io.Writer, quiet bool, cfg train.Config) Progress {
	switch {
	case quiet:
		return Silent{}
	case console.IsTerminal(w):
		return newBars(w, cfg)
	}
	return &lines{w: w, clock: clock{epochs: cfg.Epochs}, mode: cfg.Mode}
}

// Silent shows nothing.
type Silent struct{}

func (Silent) Step(train.StepReport)   {}
func (Silent) Epoch(train.EpochReport) {}
func (Silent) Finish()                 {}

// clock estimates the time a run still takes, from the steps it has seen.
type clock struct {
	epochs     int
	begin      time.Time
	seen, left int // steps
}

func (c *clock) Step(r train.StepReport) {
	if c.begin.IsZero() {
		c.begin = time.Now() // the first step, which sets things up, is not counted
	} else {
		c.seen++
	}
	c.left = (r.Epochs-r.Epoch)*r.Steps + r.Steps - r.Step
}

// remaining returns the time left, "?" while nothing is known of it.
func (c *clock) remaining() string {
	if c.left == 0 && !c.begin.IsZero() {
		return "0s"
	}
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

func (l *lines) Epoch(r train.EpochReport) {
	for _, s := range r.Students {
		mimicry, best := "", ""
		if l.mode != train.ModeIndependent {
			mimicry = fmt.Sprintf("  mimicry %.4f", s.Mimicry)
		}
		if s.Best {
			best = " (best)"
		}
		fmt.Fprintf(l.w, "epoch %d/%d  %s  loss %.4f%s  accuracy %s, validation %s%s  cohort %.0f images/s  %s left\n",
			r.Epoch, l.epochs, s.Name, s.Loss, mimicry, console.Percent(s.TrainAccuracy), console.Percent(s.Validation.Accuracy), best,
			r.ImagesPerSecond, l.remaining())
	}
}

func (*lines) Finish() {}

// bars draws one bar for each student.
type bars struct {
	container *mpb.Progress
	bars      []*mpb.Bar
	mode      train.Mode

	mu         sync.Mutex // guards what follows: mpb draws from its own goroutine
	clock      clock
	at         string // epoch
	students   []train.StudentStep
	validation []string
	speed      float64
}

func newBars(w io.Writer, cfg train.Config) *bars {
	b := &bars{
		container:  mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh()),
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
			mpb.BarFillerTrim(), mpb.BarWidth(20)))
	}
	return b
}

// status is the text after the bar of student i.
func (b *bars) status(i int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.students[i]
	mimicry := ""
	if b.mode != train.ModeIndependent {
		mimicry = fmt.Sprintf(" mimicry %.3f", s.Mimicry)
	}
	// What matters least comes last: narrow terminals cut it off.
	return fmt.Sprintf(" %s loss %.3f%s acc. %.1f%% cohort %.0f images/s %s left%s",
		b.at, s.Loss, mimicry, 100*s.Accuracy, b.speed, b.clock.remaining(), b.validation[i])
}

func (b *bars) Step(r train.StepReport) {
	b.mu.Lock()
	b.clock.Step(r)
	b.at = fmt.Sprintf("%d/%d", r.Epoch, r.Epochs)
	copy(b.students, r.Students)
	b.speed = r.ImagesPerSecond
	b.mu.Unlock()
	for _, bar := range b.bars {
		bar.SetTotal(int64(r.Epochs*r.Steps), false)
		bar.SetCurrent(int64((r.Epoch-1)*r.Steps + r.Step))
	}
}

func (b *bars) Epoch(r train.EpochReport) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range r.Students {
		b.validation[i] = fmt.Sprintf(", validation %.1f%%", 100*s.Validation.Accuracy)
	}
}

func (b *bars) Finish() {
	for _, bar := range b.bars {
		bar.Abort(false) // which leaves a complete bar as it is
	}
	b.container.Wait()
}
