package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/kernel"
	"github.com/deepmutual/dml/models"
)

// ErrDiverged is wrapped by the error of a step whose loss is not finite.
var ErrDiverged = errors.New("training diverged")

// member is a student to be.
type member struct {
	name    string
	net     *models.Network
	weights models.Weights
	rule    updateRule
}

// cohort is the students that learn from the same mini-batches.
type cohort struct {
	mode     Mode
	lineup   lineup
	students []*student
	engines  []kernel.Engine
	workers  []*worker
}

// cohortOptions configures a cohort.
type cohortOptions struct {
	mode       Mode
	batch      int
	seed       uint64 // of dropout
	threads    int    // 0 means all cores
	noWinograd bool
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
	c := &cohort{mode: opts.mode, lineup: planLineup(costs, threads)}
	peers := 0
	if opts.mode == ModeDML {
		peers = len(members) - 1
	}
	for i, m := range members {
		if i == 0 || c.lineup.sideBySide {
			c.workers = append(c.workers, newWorker())
		}
		w := c.workers[len(c.workers)-1]
		err := w.do(func() error {
			engine, err := backend.NewEngine(kernel.EngineOptions{Threads: c.lineup.threads, NoWinograd: opts.noWinograd})
			if err != nil {
				return err
			}
			c.engines = append(c.engines, engine)
			seed := rand.NewPCG(opts.seed, uint64(i)).Uint64()
			s, err := newStudent(m.name, w, engine, m.net, seed, opts.batch, peers, m.rule)
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
	if opts.mode == ModeDML {
		for i, s := range c.students {
			s.peers = slices.Concat(c.students[:i], c.students[i+1:])
		}
	}
	return c, nil
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

// step trains every student on one mini-batch: all forward passes, then all
// losses from the same posteriors, then all backward passes and updates.
// number counts the steps of the whole training.
func (c *cohort) step(batch *dataset.Batch, number int) error {
	for _, s := range c.students {
		if len(batch.Images) != len(s.net.Input()) {
			return fmt.Errorf("student %q takes %d values a mini-batch, got %d", s.name, len(s.net.Input()), len(batch.Images))
		}
		copy(s.net.Input(), batch.Images)
		s.net.SetStep(uint64(number))
		s.labels, s.number = batch.Labels, number
	}
	if err := c.each(forwardJob); err != nil {
		return err
	}
	if err := c.each(learnJob); err != nil {
		return err
	}
	for _, s := range c.students {
		if loss := float64(s.objective.total[0]); math.IsNaN(loss) || math.IsInf(loss, 0) {
			return fmt.Errorf("%w: the loss of student %q is %g; a lower learning rate may help", ErrDiverged, s.name, loss)
		}
	}
	return c.each(backwardJob)
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
