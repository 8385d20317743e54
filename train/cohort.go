package train

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/models"
)

// member is a student to be.
type member struct {
	name    string
	net     *models.Network
	weights models.Weights
	rule    updateRule
}

// cohort is the students that learn from the same mini-batches.
type cohort struct {
	order    Order
	mimicry  ramp    // the weight of the mimicry loss
	lesson   *lesson // nil without a teacher
	lineup   lineup
	students []*student
	engines  []kernel.Engine
	workers  []*worker
}

// cohortOptions configures a cohort.
type cohortOptions struct {
	mode       Mode
	order      Order         // default simultaneous
	mimicry    ramp          // the weight of the mimicry loss
	loss       objectiveSpec // temperature and smoothing; the cohort fills in the rest
	teacher    Teacher       // of mode distill
	ownViews   bool          // every student has a view of its own
	batch      int
	seed       uint64 // of dropout
	threads    int    // 0 means all cores
	noWinograd bool
	bfloat16   bool
}

// newCohort compiles every member. On an error nothing is left running.
func newCohort(backend kernel.Backend, members []member, opts cohortOptions) (*cohort, error) {
	costs := make([]int64, len(members))
	for i, m := range members {
		var err error
		if costs[i], err = m.net.MultiplyAdds(); err != nil {
			return nil, err
		}
	}
	threads := opts.threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	c := &cohort{order: opts.order, mimicry: opts.mimicry, lineup: planLineup(costs, threads)}
	if opts.order == OrderSequential {
		c.lineup = lineup{threads: threads} // one student is at work at a time
	}
	for i, m := range members {
		if i == 0 || c.lineup.sideBySide {
			c.workers = append(c.workers, newWorker())
		}
		w := c.workers[len(c.workers)-1]
		err := w.do(func() error {
			engine, err := backend.NewEngine(kernel.EngineOptions{Threads: c.lineup.threads, NoWinograd: opts.noWinograd, BFloat16: opts.bfloat16})
			if err != nil {
				return err
			}
			c.engines = append(c.engines, engine)
			seed := rand.NewPCG(opts.seed, uint64(i)).Uint64()
			loss := opts.loss
			loss.batch, loss.classes, loss.targets = opts.batch, m.net.Classes, opts.mode.targets(len(members))
			s, err := newStudent(m.name, w, engine, m.net, seed, loss, m.rule)
			if err != nil {
				return err
			}
			c.students = append(c.students, s)
			return s.net.SetWeights(m.weights)
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("student %q: %w", m.name, err), c.close())
		}
	}
	c.connect(opts)
	return c, nil
}

// connect shows every student its view of the images, and the posteriors that
// it is to mimic.
func (c *cohort) connect(opts cohortOptions) {
	views := 1
	if opts.ownViews {
		views = len(c.students)
	}
	if opts.teacher != nil {
		c.lesson = newLesson(opts.teacher, opts.batch, views, opts.loss.temperature)
	}
	for i, s := range c.students {
		if opts.ownViews {
			s.view = i
		}
		s.averaged = opts.mode == ModeDMLEnsemble
		switch {
		case opts.mode == ModeDistill:
			s.mimicked = [][]float32{c.lesson.posteriors[s.view]}
		case opts.mode.mutual():
			for _, peer := range slices.Concat(c.students[:i], c.students[i+1:]) {
				s.mimicked = append(s.mimicked, peer.posterior.Data)
			}
		}
	}
}

// each runs a job of every student: side by side, or in turn.
func (c *cohort) each(job func(*student) func() error) error {
	var first error
	keep := func(s *student, err error) {
		if err != nil && first == nil {
			first = fmt.Errorf("student %q: %w", s.name, err)
		}
	}
	if !c.lineup.sideBySide {
		for _, s := range c.students {
			keep(s, s.worker.do(job(s)))
		}
		return first
	}
	for _, s := range c.students {
		s.worker.start(job(s))
	}
	for _, s := range c.students {
		keep(s, s.worker.wait())
	}
	return first
}

func forwardJob(s *student) func() error  { return s.forward }
func learnJob(s *student) func() error    { return s.learn }
func backwardJob(s *student) func() error { return s.backward }

// step trains every student on one mini-batch. number counts the steps of the
// whole training.
func (c *cohort) step(batch *dataset.Batch, number int) error {
	for _, s := range c.students {
		if s.view >= len(batch.Views) || len(batch.Views[s.view]) != len(s.net.Input()) {
			return fmt.Errorf("student %q takes %d values a mini-batch, as view %d of the images, which the mini-batch does not have",
				s.name, len(s.net.Input()), s.view)
		}
		copy(s.net.Input(), batch.Views[s.view])
		s.net.SetStep(uint64(number))
		s.labels, s.number, s.weight = batch.Labels, number, c.mimicry.at(number)
	}
	if c.lesson != nil {
		if err := c.lesson.prepare(batch); err != nil {
			return err
		}
	}
	if err := c.each(forwardJob); err != nil {
		return err
	}
	if c.order == OrderSequential {
		return c.updateInTurn()
	}
	return c.updateTogether()
}

// updateTogether computes all losses from the same posteriors, then updates all
// students.
func (c *cohort) updateTogether() error {
	if err := c.each(learnJob); err != nil {
		return err
	}
	for _, s := range c.students {
		if err := s.diverged(); err != nil {
			return err
		}
	}
	return c.each(backwardJob)
}

// updateInTurn is the body of the paper's Algorithm 1: a student is updated,
// then its posteriors of the mini-batch are computed anew, for those that come
// after it. After the last nobody would read them.
func (c *cohort) updateInTurn() error {
	for i, s := range c.students {
		if err := c.do(s, s.learn); err != nil {
			return err
		}
		if err := s.diverged(); err != nil {
			return err
		}
		if err := c.do(s, s.backward); err != nil {
			return err
		}
		if i == len(c.students)-1 {
			break
		}
		if err := c.do(s, s.forward); err != nil {
			return err
		}
	}
	return nil
}

// do runs one job of one student.
func (c *cohort) do(s *student, job func() error) error {
	if err := s.worker.do(job); err != nil {
		return fmt.Errorf("student %q: %w", s.name, err)
	}
	return nil
}

// panel returns the students as a panel to evaluate.
func (c *cohort) panel() *panel {
	p := &panel{sideBySide: c.lineup.sideBySide}
	for _, s := range c.students {
		p.seats = append(p.seats, newSeat(s.name, s.worker, s.eval, s.softmax))
	}
	return p
}

// close frees the engines and ends the workers.
func (c *cohort) close() error {
	var errs []error
	for i, e := range c.engines {
		w := c.workers[min(i, len(c.workers)-1)]
		errs = append(errs, w.do(e.Close))
	}
	for _, w := range c.workers {
		w.close()
	}
	c.engines, c.workers, c.students = nil, nil, nil // their memory is gone
	return errors.Join(errs...)
}
