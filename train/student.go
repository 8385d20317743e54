package train

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// student is one network of a cohort with all it needs to learn.
type student struct {
	name   string
	worker *worker

	net       *lower.Network
	eval      *lower.Network // shares the parameters of net
	objective *objective
	softmax   kernel.Softmax
	posterior kernel.Tensor // [batch, classes] of the last forward, at the temperature of mimicry
	mimicked  [][]float32   // the posteriors that it learns from
	averaged  bool          // it learns from their mean
	view      int           // of the images, that it sees
	params    []trained
	rule      updateRule
	slots     Slots

	forward, learn, backward func() error // the jobs of a step, made once
	labels                   []int32      // of the step under way
	number                   int          // of that step, over the whole training
	weight                   float64      // of its mimicry loss
}

// trained is a parameter that an optimizer changes, with the optimizer's state.
type trained struct {
	w, gradient []float32
	optimizer   optim.Optimizer
	state       [][]float32
}

// newStudent compiles a network for training and for evaluation. The seed
// decides what dropout drops. It must be called on the student's worker.
func newStudent(name string, w *worker, engine kernel.Engine, net *models.Network, seed uint64, loss objectiveSpec, rule updateRule) (*student, error) {
	s := &student{name: name, worker: w, rule: rule, slots: make(Slots)}
	batch := loss.batch
	var err error
	if s.net, err = lower.Compile(net, engine, lower.Options{Batch: batch, Training: true, Seed: seed}); err != nil {
		return nil, err
	}
	if s.eval, err = lower.Compile(net, engine, lower.Options{Batch: batch, Share: s.net}); err != nil {
		return nil, err
	}
	if s.objective, err = newObjective(engine, loss); err != nil {
		return nil, err
	}
	if s.softmax, err = engine.Softmax(kernel.SoftmaxSpec{Rows: batch, Cols: net.Classes}); err != nil {
		return nil, err
	}
	s.posterior = kernel.NewTensor(kernel.Matrix(batch, net.Classes))
	logits := kernel.Tensor{Desc: s.posterior.Desc, Data: s.net.Logits()}
	for _, p := range s.net.Params() {
		gradient := s.net.Gradient(p.Name)
		if gradient == nil {
			continue
		}
		t := trained{w: s.net.Weights()[p.Name], gradient: gradient, optimizer: rule.of(p.Role)}
		for _, slot := range t.optimizer.Slots() {
			v, err := engine.Alloc(p.Size())
			if err != nil {
				return nil, err
			}
			t.state = append(t.state, v)
			s.slots.set(slot, p.Name, v)
		}
		s.params = append(s.params, t)
	}
	tempered := logits
	if hot(loss.temperature) {
		tempered = kernel.NewTensor(logits.Desc)
	}
	s.forward = func() error {
		if err := s.net.Forward(); err != nil {
			return err
		}
		if hot(loss.temperature) {
			for i, x := range logits.Data {
				tempered.Data[i] = x * float32(1/loss.temperature)
			}
		}
		return s.softmax.Forward(s.posterior, tempered)
	}
	// The losses follow from the logits, the labels and the posteriors of the
	// others, which are all known by now.
	s.learn = func() error {
		copy(s.objective.logits, s.net.Logits())
		s.objective.setLabels(s.labels)
		s.mimic()
		return s.objective.run()
	}
	s.backward = func() error {
		copy(s.net.LogitsGradient(), s.objective.gradient)
		if err := s.net.Backward(); err != nil {
			return err
		}
		s.net.AdvanceStatistics()
		rate := rule.rate(s.number)
		for _, p := range s.params {
			p.optimizer.Update(p.w, p.gradient, p.state, rate, s.number)
		}
		return nil
	}
	return s, nil
}

// mimic fills in what the student is to mimic, and how much.
func (s *student) mimic() {
	switch {
	case len(s.mimicked) == 0:
		return
	case s.averaged:
		mean(s.objective.targets[0], s.mimicked...)
	default:
		for i, p := range s.mimicked {
			copy(s.objective.targets[i], p)
		}
	}
	s.objective.weight[0] = float32(s.weight)
}

// diverged reports a non-finite loss.
func (s *student) diverged() error {
	if loss := float64(s.objective.total[0]); !finite(loss) {
		return &DivergedError{Student: s.name, What: fmt.Sprintf("the loss is %g", loss)}
	}
	return nil
}

// correct counts the samples of the last step whose class was right before the
// update.
func (s *student) correct(labels []int32) int {
	n, logits, classes := 0, s.objective.logits, s.posterior.C
	for i, label := range labels {
		if argmax(logits[i*classes:(i+1)*classes]) == int(label) {
			n++
		}
	}
	return n
}
