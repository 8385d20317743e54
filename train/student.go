package train

import (
	"fmt"

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
	engine kernel.Engine

	net       *lower.Network
	eval      *lower.Network // shares the parameters of net
	objective *objective
	posterior []float32 // [batch, classes] of the last forward
	params    []trained
	momentum  models.Weights

	forward, backward func() error // the jobs of a step, made once
	rate              float64      // learning rate of the step under way
}

// trained is a parameter that gradient descent changes.
type trained struct{ w, gradient, momentum []float32 }

// newStudent compiles a network for training and for evaluation. The seed
// decides what dropout drops. It must be called on the student's worker.
func newStudent(name string, w *worker, engine kernel.Engine, net *models.Network, seed uint64, batch, peers int, sgd optim.SGD) (*student, error) {
	s := &student{name: name, worker: w, engine: engine, momentum: make(models.Weights)}
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
	s.posterior = make([]float32, batch*net.Classes)
	for _, p := range s.net.Params() {
		gradient := s.net.Gradient(p.Name)
		if gradient == nil {
			continue
		}
		v := engine.Alloc(p.Size())
		s.momentum[p.Name] = v
		s.params = append(s.params, trained{s.net.Weights()[p.Name], gradient, v})
	}
	s.forward = func() error {
		if err := s.net.Forward(); err != nil {
			return err
		}
		kernel.Softmax(s.posterior, s.net.Logits(), batch, net.Classes)
		return nil
	}
	s.backward = func() error {
		copy(s.net.LogitsGradient(), s.objective.gradient)
		if err := s.net.Backward(); err != nil {
			return err
		}
		s.net.AdvanceStatistics()
		for _, p := range s.params {
			sgd.Update(p.w, p.gradient, p.momentum, s.rate)
		}
		return nil
	}
	return s, nil
}

// learn computes the student's loss from its logits, the labels and the
// posteriors of its peers.
func (s *student) learn(labels []int32, peers []*student) error {
	copy(s.objective.logits, s.net.Logits())
	s.objective.setLabels(labels)
	slot := 0
	for _, p := range peers {
		if p != s && slot < len(s.objective.peers) {
			copy(s.objective.peers[slot], p.posterior)
			slot++
		}
	}
	if err := s.objective.run(); err != nil {
		return fmt.Errorf("student %q: %w", s.name, err)
	}
	return nil
}

// correct counts the samples of the last forward whose class is right.
func (s *student) correct(labels []int32) int {
	n, classes := 0, len(s.posterior)/len(labels)
	for i, label := range labels {
		if score.Argmax(s.posterior[i*classes:(i+1)*classes]) == int(label) {
			n++
		}
	}
	return n
}
