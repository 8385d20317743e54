package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/train"
)

// classes is the number of classes of all work.
const classes = 100

// orders reads how many steps to run and answers with their times.
type orders struct {
	in      *bufio.Scanner
	out     io.Writer
	pending int
	seconds []float64
	begin   time.Time
}

// errDone says that no more orders will come.
var errDone = errors.New("no more orders")

// next waits for an order once the last is answered, and starts the clock.
func (o *orders) next() error {
	for o.pending == 0 {
		if o.seconds != nil {
			answer, err := json.Marshal(o.seconds)
			if err != nil {
				return err
			}
			fmt.Fprintf(o.out, "%s\n", answer)
			o.seconds = nil
		}
		if !o.in.Scan() {
			return errors.Join(errDone, o.in.Err())
		}
		var err error
		if o.pending, err = strconv.Atoi(strings.TrimSpace(o.in.Text())); err != nil {
			return err
		}
	}
	o.begin = time.Now()
	return nil
}

// done stops the clock for one step.
func (o *orders) done() {
	o.seconds = append(o.seconds, time.Since(o.begin).Seconds())
	o.pending--
}

// serve is a contender in Go: it runs steps as it is told on in.
func serve(role string, setup Setup, work Work, in io.Reader, out io.Writer) error {
	o := &orders{in: bufio.NewScanner(in), out: out}
	backend, err := onednn.Open()
	switch {
	case strings.HasPrefix(role, "reid-"):
		err = serveReID(role, setup.Dir, work.Threads, o)
	case role != "dml" && role != "gorgonia":
		err = serveInference(role, setup.Model, work, o)
	case role == "gorgonia":
		err = serveStock(work, o)
	case err != nil:
	case work.Evaluate:
		err = serveEvaluation(work, backend, o)
	default:
		err = serveTraining(work, backend, o)
	}
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// greet says what a contender's networks are and computes them.
func greet(out io.Writer, work Work, info kernel.Info) error {
	net, err := work.network()
	if err != nil {
		return err
	}
	parameters, err := net.ParameterCount()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d %s %s, %s\n", parameters, info.Name, info.Version, info.ISA)
	return err
}

// serveTraining runs a real training session on random images.
func serveTraining(work Work, backend kernel.Backend, o *orders) error {
	data, err := randomImages(4*work.Batch, work.Height, work.Width)
	if err != nil {
		return err
	}
	cfg := train.Config{Mode: train.ModeDML, Epochs: 1 << 30, Batch: work.Batch, Threads: work.Threads, BFloat16: work.BFloat16}
	for range work.Students {
		cfg.Students = append(cfg.Students, train.Student{Arch: work.Arch})
	}
	if work.Students == 1 {
		cfg.Mode = train.ModeIndependent
	}
	trainer, err := train.OpenBackend("onednn")
	if err != nil {
		return err
	}
	session, err := train.New(cfg, data, train.Options{Backend: trainer})
	if err != nil {
		return err
	}
	defer session.Close()
	if err := greet(o.out, work, backend.Info()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	await := func() {
		if err := o.next(); err != nil {
			cancel(err)
		}
	}
	await()
	_, err = session.Run(ctx, nil, train.Events{
		Step: func(train.StepReport) {
			o.done()
			await()
		},
		Epoch: func(train.EpochReport) { o.begin = time.Now() }, // evaluation is not a step
	})
	return errors.Join(err, context.Cause(ctx))
}

// serveEvaluation runs the students' forward passes in turn, each on all
// threads.
func serveEvaluation(work Work, backend kernel.Backend, o *orders) error {
	runtime.LockOSThread()
	engine, err := backend.NewEngine(kernel.EngineOptions{Threads: work.Threads})
	if err != nil {
		return err
	}
	defer engine.Close()
	var nets []*lower.Network
	for i := range work.Students {
		net, err := compile(work, engine, uint64(i), false)
		if err != nil {
			return err
		}
		nets = append(nets, net)
	}
	softmax, err := engine.Softmax(kernel.SoftmaxSpec{Rows: work.Batch, Cols: classes})
	if err != nil {
		return err
	}
	posterior := kernel.NewTensor(kernel.Matrix(work.Batch, classes))
	if err := greet(o.out, work, backend.Info()); err != nil {
		return err
	}
	for {
		if err := o.next(); err != nil {
			return err
		}
		for _, n := range nets {
			if err := n.Forward(); err != nil {
				return err
			}
			if err := softmax.Forward(posterior, kernel.Tensor{Desc: posterior.Desc, Data: n.Logits()}); err != nil {
				return err
			}
		}
		o.done()
	}
}

// compile makes a network of the work with random weights and input.
func compile(work Work, engine kernel.Engine, seed uint64, training bool) (*lower.Network, error) {
	desc, err := work.network()
	if err != nil {
		return nil, err
	}
	weights, err := desc.Init(seed)
	if err != nil {
		return nil, err
	}
	net, err := lower.Compile(desc, engine, lower.Options{Batch: work.Batch, Training: training})
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 3))
	for i := range net.Input() {
		net.Input()[i] = float32(rng.NormFloat64())
	}
	return net, net.SetWeights(weights)
}

func randomImages(n, height, width int) (dataset.Splits, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	pix, labels := make([]uint8, n*3*height*width), make([]int, n)
	for i := range pix {
		pix[i] = uint8(rng.Uint32())
	}
	names := make([]string, classes)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	for i := range labels {
		labels[i] = rng.IntN(classes)
	}
	all, err := dataset.NewMemory("random", names, dataset.Shape{Channels: 3, Height: height, Width: width}, pix, labels)
	if err != nil {
		return dataset.Splits{}, err
	}
	val, err := dataset.Subset(all, []int{0, 1, 2, 3})
	return dataset.Splits{Train: all, Val: val}, err
}
