package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// NamedScores are the scores of one student.
type NamedScores struct {
	Name string `json:"name"`
	Scores
}

// Evaluation holds the scores of students and of their ensemble, the mean of
// their posteriors.
type Evaluation struct {
	Students []NamedScores `json:"students"`
	Ensemble Scores        `json:"ensemble"`
}

// panel is networks that are evaluated on the same samples.
type panel struct {
	sideBySide bool
	seats      []*seat
}

// seat is one network of a panel.
type seat struct {
	name      string
	worker    *worker
	net       *lower.Network
	posterior kernel.Tensor
	infer     func() error
}

// newSeat seats a network whose posteriors softmax computes.
func newSeat(name string, w *worker, net *lower.Network, softmax kernel.Softmax) *seat {
	s := &seat{name: name, worker: w, net: net, posterior: kernel.NewTensor(kernel.Matrix(net.Batch(), net.Description.Classes))}
	logits := kernel.Tensor{Desc: s.posterior.Desc, Data: net.Logits()}
	s.infer = func() error {
		err := net.Forward()
		if err == nil {
			err = softmax.Forward(s.posterior, logits)
		}
		if err != nil {
			return fmt.Errorf("student %q: %w", name, err)
		}
		return nil
	}
	return s
}

// infer computes every seat's posteriors of one batch. A batch smaller than
// the networks' is padded with zeros, whose results nobody reads: samples do
// not affect each other outside training.
func (p *panel) infer(images []float32) error {
	var errs []error
	for _, s := range p.seats {
		n := copy(s.net.Input(), images)
		clear(s.net.Input()[n:])
		s.worker.start(s.infer)
		if !p.sideBySide {
			errs = append(errs, s.worker.wait())
		}
	}
	if p.sideBySide {
		for _, s := range p.seats {
			errs = append(errs, s.worker.wait())
		}
	}
	return errors.Join(errs...)
}

// evaluate scores the panel on all samples of a loader.
func (p *panel) evaluate(ctx context.Context, loader *dataset.Loader) (Evaluation, error) {
	tallies := make([]Tally, len(p.seats))
	var ensemble Tally
	joint := make([]float32, len(p.seats[0].posterior.Data))
	posteriors := make([][]float32, len(p.seats))
	epoch := loader.Epoch(ctx, 0, 0)
	defer epoch.Close()
	for {
		batch, err := epoch.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Evaluation{}, err
		}
		if err := p.infer(batch.Images); err != nil {
			return Evaluation{}, err
		}
		values := batch.N * p.seats[0].net.Description.Classes
		for i, s := range p.seats {
			posteriors[i] = s.posterior.Data[:values]
			tallies[i].Add(posteriors[i], batch.Labels)
		}
		mean(joint[:values], posteriors...)
		ensemble.Add(joint[:values], batch.Labels)
	}
	out := Evaluation{Ensemble: ensemble.Scores()}
	for i, s := range p.seats {
		out.Students = append(out.Students, NamedScores{s.name, tallies[i].Scores()})
	}
	return out, nil
}

// EvaluateOptions configures Evaluate; the zero value is usable.
type EvaluateOptions struct {
	Backend *Backend // default: oneDNN where it is found
	Threads int      // default: all cores
	Batch   int      // default 64
}

func (o EvaluateOptions) withDefaults() (EvaluateOptions, error) {
	if o.Backend == nil {
		var err error
		if o.Backend, err = OpenBackend(""); err != nil {
			return o, err
		}
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Batch == 0 {
		o.Batch = 64
	}
	return o, nil
}

// Evaluate scores trained students on every sample of a data set, without
// training anything. Students must have the same input, normalisation and
// classes.
func Evaluate(ctx context.Context, states []State, ds dataset.Dataset, opts EvaluateOptions) (Evaluation, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return Evaluation{}, err
	}
	if len(states) == 0 {
		return Evaluation{}, errors.New("no student to evaluate")
	}
	first := states[0]
	for _, st := range states {
		if st.Network.Input != first.Network.Input || st.Network.Classes != first.Network.Classes {
			return Evaluation{}, fmt.Errorf("students %q and %q take different inputs or classes", first.Name, st.Name)
		}
		if !slices.Equal(st.Classes, first.Classes) || !slices.Equal(st.Norm.Mean, first.Norm.Mean) || !slices.Equal(st.Norm.Std, first.Norm.Std) {
			return Evaluation{}, fmt.Errorf("students %q and %q have other classes or another normalisation: evaluate them one by one", first.Name, st.Name)
		}
	}
	if n := len(ds.Classes()); n != first.Network.Classes {
		return Evaluation{}, fmt.Errorf("%s has %d classes, the students were trained on %d", ds.Name(), n, first.Network.Classes)
	}
	loader, err := dataset.NewLoader(ds, dataset.LoaderOptions{
		Batch: opts.Batch, Shape: inputShape(first.Network.Input), Norm: first.Norm,
	})
	if err != nil {
		return Evaluation{}, err
	}
	w := newWorker()
	defer w.close()
	p := &panel{}
	var out Evaluation
	err = withEngine(w, opts.Backend.kernels, opts.Threads, func(engine kernel.Engine) error {
		softmax, err := engine.Softmax(kernel.SoftmaxSpec{Rows: opts.Batch, Cols: first.Network.Classes})
		if err != nil {
			return err
		}
		for _, st := range states {
			net, err := lower.Compile(st.Network, engine, lower.Options{Batch: opts.Batch})
			if err == nil {
				err = net.SetWeights(st.Weights)
			}
			if err != nil {
				return fmt.Errorf("student %q: %w", st.Name, err)
			}
			p.seats = append(p.seats, newSeat(st.Name, w, net, softmax))
		}
		return nil
	}, func() error {
		var err error
		out, err = p.evaluate(ctx, loader)
		return err
	})
	return out, err
}

// Logits returns a student's class scores [n, classes] of n preprocessed
// samples, as Gorgonia computes them in evaluation mode.
func Logits(st State, inputs []float32, n int, opts EvaluateOptions) ([]float32, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if want := n * st.Network.Input.Size(); n < 1 || len(inputs) != want {
		return nil, fmt.Errorf("student %q: %d input values for %d samples, want %d", st.Name, len(inputs), n, want)
	}
	w := newWorker()
	defer w.close()
	var logits []float32
	err = withEngine(w, opts.Backend.kernels, opts.Threads, func(engine kernel.Engine) error {
		net, err := lower.Compile(st.Network, engine, lower.Options{Batch: n})
		if err != nil {
			return err
		}
		if err := net.SetWeights(st.Weights); err != nil {
			return err
		}
		copy(net.Input(), inputs)
		if err := net.Forward(); err != nil {
			return err
		}
		logits = append(logits, net.Logits()...)
		return nil
	}, nil)
	return logits, err
}

// withEngine makes an engine on a worker, runs onWorker there, then after
// here, and closes the engine.
func withEngine(w *worker, backend kernel.Backend, threads int, onWorker func(kernel.Engine) error, after func() error) error {
	var engine kernel.Engine
	err := w.do(func() error {
		var err error
		if engine, err = backend.NewEngine(kernel.EngineOptions{Threads: threads}); err != nil {
			return err
		}
		return onWorker(engine)
	})
	if err == nil && after != nil {
		err = after()
	}
	if engine != nil {
		err = errors.Join(err, w.do(engine.Close))
	}
	return err
}

func inputShape(s models.Shape) dataset.Shape {
	return dataset.Shape{Channels: s.C, Height: s.H, Width: s.W}
}
