package train

import (
	"github.com/deepmutual/dml/internal/kernel"
	"github.com/deepmutual/dml/internal/lower"
	"github.com/deepmutual/dml/internal/score"
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
	posterior kernel.Tensor // [batch, classes] of the last forward
	peers     []*student    // whose posteriors it learns from
	params    []trained
	rule      updateRule
	slots     Slots

	forward, learn, backward func() error // the jobs of a step, made once
	labels                   []int32      // of the step under way
	number                   int          // of that step, over the whole training
}

// trained is a parameter that an optimizer changes, with the optimizer's state.
type trained struct {
	w, gradient []float32
	optimizer   optim.Optimizer
	state       [][]float32
}

// newStudent compiles a network for training and for evaluation. The seed
// decides what dropout drops. It must be called on the student's worker.
func newStudent(name string, w *worker, engine kernel.Engine, net *models.Network, seed uint64, batch, peers int, rule updateRule) (*student, error) {
	s := &student{name: name, worker: w, rule: rule, slots: make(Slots)}
	var err error
	if s.net, err = lower.Compile(net, engine, lower.Options{Batch: batch, Training: true, Seed: seed}); err != nil {
		return nil, err
	}
	if s.eval, err = lower.Compile(net, engine, lower.Options{Batch: batch, Share: s.net}); err != nil {
		return nil, err
	}
	if s.objective, err = newObjective(engine, batch, net.Classes, peers); err != nil {
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
		t := trained{w: s.net.Weights()[p.Name], gradient: gradient, optimizer: rule.optimizer(p.Role)}
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
	s.forward = func() error {
		if err := s.net.Forward(); err != nil {
			return err
		}
		return s.softmax.Forward(s.posterior, logits)
	}
	// The losses follow from the logits, the labels and the posteriors of the
	// peers, which have all run forward.
	s.learn = func() error {
		copy(s.objective.logits, s.net.Logits())
		s.objective.setLabels(s.labels)
		for i, p := range s.peers {
			copy(s.objective.peers[i], p.posterior.Data)
		}
		return s.objective.run()
	}
	s.backward = func() error {
		copy(s.net.LogitsGradient(), s.objective.gradient)
		if err := s.net.Backward(); err != nil {
			return err
		}
		s.net.AdvanceStatistics()
		rate := rule.schedule.Rate(s.number)
		for _, p := range s.params {
			p.optimizer.Update(p.w, p.gradient, p.state, rate, s.number)
		}
		return nil
	}
	return s, nil
}

// correct counts the samples of the last forward whose class is right.
func (s *student) correct(labels []int32) int {
	n, classes := 0, s.posterior.C
	for i, label := range labels {
		if score.Argmax(s.posterior.Data[i*classes:(i+1)*classes]) == int(label) {
			n++
		}
	}
	return n
}
