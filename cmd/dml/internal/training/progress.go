package training

import (
	"fmt"
	"io"
	"sync"

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
	return &lines{w: w, epochs: cfg.Epochs, mode: cfg.Mode}
}

// Silent shows nothing.
type Silent struct{}

func (Silent) Step(train.StepReport)   {}
func (Silent) Epoch(train.EpochReport) {}
func (Silent) Finish()                 {}

// lines prints a line for each student and epoch.
type lines struct {
	w      io.Writer
	epochs int
	mode   train.Mode
	clock  console.Clock
}

func (l *lines) Step(r train.StepReport) { l.clock.Set(steps(r)) }

// steps returns how many steps of a run are done, and how many it has.
func steps(r train.StepReport) (done, total int) {
	return (r.Epoch-1)*r.Steps + r.Step, r.Epochs * r.Steps
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
			r.ImagesPerSecond, l.clock.Left())
	}
}

func (*lines) Finish() {}

// bars draws one bar for each student.
type bars struct {
	*console.Bars
	mode train.Mode

	mu         sync.Mutex // guards what follows: bars are drawn from another goroutine
	clock      console.Clock
	at         string // epoch
	students   []train.StudentStep
	validation []string
	speed      float64
}

func newBars(w io.Writer, cfg train.Config) *bars {
	b := &bars{mode: cfg.Mode, students: make([]train.StudentStep, len(cfg.Students)), validation: make([]string, len(cfg.Students))}
	var names []string
	for _, s := range cfg.Students {
		names = append(names, s.Name)
	}
	b.Bars = console.NewBars(w, names, b.status)
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
	return fmt.Sprintf("%s loss %.3f%s acc. %.1f%% cohort %.0f images/s %s left%s",
		b.at, s.Loss, mimicry, 100*s.Accuracy, b.speed, b.clock.Left(), b.validation[i])
}

func (b *bars) Step(r train.StepReport) {
	b.mu.Lock()
	b.clock.Set(steps(r))
	b.at = fmt.Sprintf("%d/%d", r.Epoch, r.Epochs)
	copy(b.students, r.Students)
	b.speed = r.ImagesPerSecond
	b.mu.Unlock()
	b.Set(steps(r))
}

func (b *bars) Epoch(r train.EpochReport) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range r.Students {
		b.validation[i] = fmt.Sprintf(", validation %.1f%%", 100*s.Validation.Accuracy)
	}
}
