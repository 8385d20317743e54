package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// Differences of curved kernels balance truncation (of the step's square)
// against rounding (of its inverse).
const (
	curvedStep  = 1.0 / 128
	curvedSlack = 3e-3
)

// Activations under test; nil is none.
var (
	relu        = kernel.ReLU()
	relu6       = &kernel.Clip{Lo: 0, Hi: 6}
	narrow      = &kernel.Clip{Lo: -0.25, Hi: 0.75}
	activations = []*kernel.Clip{nil, relu, relu6, narrow}
)

func clipName(c *kernel.Clip) string {
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("[%g, %g]", c.Lo, c.Hi)
}

type batchNormCase struct {
	n, c, h, w int
	epsilon    float32
	momentum   float32
	act        *kernel.Clip
}

var batchNormCases = []batchNormCase{
	{1, 3, 3, 5, 1e-5, 0.1, nil},
	{2, 5, 7, 3, 1e-3, 0.01, relu},
	{2, 16, 4, 4, 1e-5, 0.1, relu6},
	{3, 17, 5, 5, 1e-3, 0.1, narrow},
	{2, 24, 6, 5, 1e-5, 1, relu},
	{4, 32, 8, 8, 1e-5, 0.1, relu},
	{2, 64, 4, 4, 1e-5, 0.1, nil},
	{16, 24, 1, 1, 1e-3, 0.1, narrow},
	{1, 1, 9, 7, 1e-5, 0, relu},
}

func (c batchNormCase) spec() kernel.BatchNormSpec {
	return kernel.BatchNormSpec{
		Src:     kernel.Desc{N: c.n, C: c.c, H: c.h, W: c.w},
		Epsilon: c.epsilon, Momentum: c.momentum, Act: c.act,
	}
}

// drawChannels gives every channel its own mean and deviation.
func drawChannels(rng *rand.Rand, t kernel.Tensor) {
	for c := range t.C {
		mean, width := 4*rng.Float64()-2, 0.5+rng.Float64()
		for n := range t.N {
			for h := range t.H {
				for w := range t.W {
					t.Data[t.Index(n, c, h, w)] = float32(mean + width*(2*rng.Float64()-1))
				}
			}
		}
	}
}

func batchNormName(mode string, s kernel.BatchNormSpec) string {
	return fmt.Sprintf("batch norm %s %v, epsilon %g, momentum %g, activation %s",
		mode, s.Src, s.Epsilon, s.Momentum, clipName(s.Act))
}

func batchNormOperands(s kernel.BatchNormSpec, grad bool) []operand {
	return []operand{
		{name: "src", desc: s.Src, grad: grad, saved: true, draw: drawChannels},
		{name: "gamma", desc: vector(s.Src.C), grad: grad, saved: true, draw: uniform(0.5, 1.5)},
		{name: "beta", desc: vector(s.Src.C), grad: grad},
	}
}

// trainingProblem normalises with the statistics of the batch.
func trainingProblem(s kernel.BatchNormSpec) *problem {
	p := &problem{
		name:     batchNormName("training", s),
		operands: batchNormOperands(s, true),
		output:   s.Src,
		act:      s.Act,
		step:     curvedStep,
		slack:    curvedSlack,
	}
	if s.Act != nil {
		linear := s
		linear.Act = nil
		p.bare = trainingProblem(linear)
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.BatchNorm(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error {
				return k.Forward(out, in[0], in[1].Data, in[2].Data)
			},
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				return k.Backward(grads[0], grads[1].Data, grads[2].Data, dOut, in[0], out, in[1].Data, in[2].Data)
			},
		}, nil
	}
	return p
}

// inferenceProblem normalises with given statistics.
func inferenceProblem(s kernel.BatchNormSpec) *problem {
	p := &problem{
		name: batchNormName("inference", s),
		operands: append(batchNormOperands(s, false),
			operand{name: "mean", desc: vector(s.Src.C)},
			operand{name: "variance", desc: vector(s.Src.C), draw: uniform(0.25, 2)}),
		output:      s.Src,
		forwardOnly: s.ForwardOnly,
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.BatchNorm(s)
		if err != nil {
			return runner{}, err
		}
		r := runner{forward: func(out kernel.Tensor, in []kernel.Tensor) error {
			return k.Infer(out, in[0], in[1].Data, in[2].Data, in[3].Data, in[4].Data)
		}}
		if s.ForwardOnly {
			r.backward = func(_ []kernel.Tensor, _, out kernel.Tensor, in []kernel.Tensor) error {
				return k.Forward(out, in[0], in[1].Data, in[2].Data)
			}
		}
		return r, nil
	}
	return p
}

func (s *suite) testBatchNorm(t *testing.T) {
	modes := []struct {
		name        string
		problem     func(kernel.BatchNormSpec) *problem
		forwardOnly bool
	}{
		{"Training", trainingProblem, false},
		{"Inference", inferenceProblem, false},
		{"ForwardOnly", inferenceProblem, true},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			for _, c := range batchNormCases {
				s.each(t, func(place placement) *problem {
					spec := c.spec()
					spec.Src, spec.ForwardOnly = place(spec.Src), mode.forwardOnly
					return mode.problem(spec)
				}, s.check)
			}
		})
	}
	t.Run("RunningStatistics", func(t *testing.T) {
		for _, c := range batchNormCases {
			s.each(t, func(place placement) *problem {
				spec := c.spec()
				spec.Src = place(spec.Src)
				return trainingProblem(spec)
			}, s.runningStatistics(c))
		}
	})
}

// runningStatistics compares them with ref's after two batches, between which
// the kernel also infers and takes a gradient, which must not disturb them.
func (s *suite) runningStatistics(c batchNormCase) func(*testing.T, *problem) {
	return func(t *testing.T, p *problem) {
		spec := c.spec()
		spec.Src = p.output
		advance := func(e kernel.Engine) (mean, variance kernel.Tensor) {
			k, err := e.BatchNorm(spec)
			if err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			x := p.instantiate(t, e, allocator(t, e))
			mean, variance = kernel.NewTensor(vector(c.c)), kernel.NewTensor(vector(c.c))
			for i := range variance.Data {
				variance.Data[i] = 1
			}
			for seed := range uint64(2) {
				x.draw(10 + seed)
				gamma, beta := x.in[1].Data, x.in[2].Data
				if err := k.Forward(x.out, x.in[0], gamma, beta); err != nil {
					t.Fatalf("%s: %v", p.name, err)
				}
				inferred := kernel.NewTensor(p.output)
				if err := k.Infer(inferred, x.in[0], gamma, beta, mean.Data, variance.Data); err != nil {
					t.Fatalf("%s: Infer: %v", p.name, err)
				}
				if err := k.Backward(x.grads[0], x.grads[1].Data, x.grads[2].Data, x.dOut, x.in[0], x.out, gamma, beta); err != nil {
					t.Fatalf("%s: Backward: %v", p.name, err)
				}
				k.UpdateRunning(mean.Data, variance.Data)
			}
			return mean, variance
		}
		mean, variance := advance(s.engine(t, kernel.EngineOptions{}))
		wantMean, wantVariance := advance(refEngine(t))
		if d := distance(mean, wantMean); !(d <= s.Tolerance) {
			t.Errorf("%s: running mean differs from ref by %.3g (relative L2); %s", p.name, d, worst(mean, wantMean))
		}
		if d := distance(variance, wantVariance); !(d <= s.Tolerance) {
			t.Errorf("%s: running variance differs from ref by %.3g (relative L2); %s", p.name, d, worst(variance, wantVariance))
		}
	}
}
