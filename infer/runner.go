//go:build cgo

package infer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
)

// runner holds the tensors of one call of n samples.
type runner struct {
	n       int
	data    Input
	buffers [][]float32 // of each output; nil where ONNX Runtime allocates
	size    int         // of all buffers together
	inputs  []ort.Value
	outputs []ort.Value // nil where ONNX Runtime allocates
	options *ort.RunOptions
	// How a cancelled context stops the network: stop is called, and says so on
	// stopped once it no longer uses the options.
	stop    func()
	stopErr error
	stopped chan struct{}
	// pin keeps the buffers in place: ONNX Runtime holds pointers to them
	// between calls.
	pin runtime.Pinner
}

func newRunner(n int, s *ortSession) (_ *runner, err error) {
	r := &runner{n: n, stopped: make(chan struct{}, 1)}
	r.stop = func() {
		r.stopErr = r.options.Terminate()
		r.stopped <- struct{}{}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.destroy())
		}
	}()
	var in ort.Value
	if input := s.desc.Input; input.Uint8 {
		r.data.Uint8, in, err = tensor[uint8](r, input)
	} else {
		r.data.Float32, in, err = tensor[float32](r, input)
	}
	if err != nil {
		return r, err
	}
	r.inputs = []ort.Value{in}
	for _, output := range s.outputs {
		var buffer []float32
		var out ort.Value
		if output.Sample() > 0 {
			if buffer, out, err = tensor[float32](r, output); err != nil {
				return r, err
			}
		}
		r.size += len(buffer)
		r.buffers, r.outputs = append(r.buffers, buffer), append(r.outputs, out)
	}
	r.options, err = ort.NewRunOptions()
	return r, err
}

// tensor makes one for r's samples, in Go's memory.
func tensor[T float32 | uint8](r *runner, info TensorInfo) ([]T, ort.Value, error) {
	shape := append(ort.Shape{int64(r.n)}, info.Dims[1:]...)
	data := make([]T, r.n*info.Sample())
	r.pin.Pin(&data[0])
	t, err := ort.NewTensor(shape, data)
	if err != nil {
		return nil, nil, err
	}
	return data, t, nil
}

func (r *runner) destroy() error {
	var errs []error
	for _, v := range slices.Concat(r.inputs, r.outputs) {
		if v != nil {
			errs = append(errs, v.Destroy())
		}
	}
	if r.options != nil {
		errs = append(errs, r.options.Destroy())
	}
	r.pin.Unpin()
	return errors.Join(errs...)
}

// run runs the network on the input in place. A context that is cancelled
// meanwhile stops it.
func (r *runner) run(ctx context.Context, s *ortSession) (Outputs, error) {
	if ctx.Done() == nil {
		return r.collect(s, s.session.RunWithOptions(r.inputs, r.outputs, r.options))
	}
	if ctx.Err() != nil {
		return Outputs{}, cancelled(ctx)
	}
	cancelStop := context.AfterFunc(ctx, r.stop)
	err := s.session.RunWithOptions(r.inputs, r.outputs, r.options)
	if cancelStop() {
		return r.collect(s, err)
	}
	<-r.stopped
	resetErr := r.options.UnsetTerminate()
	out, err := r.collect(s, err)
	if err != nil {
		err = cancelled(ctx)
	}
	return out, errors.Join(err, r.stopErr, resetErr)
}

// collect copies the results of a call that ended with err, and frees what
// ONNX Runtime allocated.
func (r *runner) collect(s *ortSession, err error) (Outputs, error) {
	out := Outputs{N: r.n}
	var all []float32 // the results of known size, in one piece of memory
	if err == nil {
		all = make([]float32, 0, r.size)
	}
	for i, output := range s.outputs {
		if buffer := r.buffers[i]; buffer != nil {
			if err == nil {
				at := len(all)
				all = append(all, buffer...)
				*out.at(s.places[i], len(s.desc.Students)) = all[at:len(all):len(all)]
			}
			continue
		}
		if r.outputs[i] == nil {
			continue
		}
		if t, ok := r.outputs[i].(*ort.Tensor[float32]); ok && len(t.GetData())%r.n == 0 {
			*out.at(s.places[i], len(s.desc.Students)) = slices.Clone(t.GetData())
		} else if err == nil {
			err = fmt.Errorf("%w: output %q has the shape %v for %d samples", ErrUnsupported, output.Name, r.outputs[i].GetShape(), r.n)
		}
		err = errors.Join(err, r.outputs[i].Destroy())
		r.outputs[i] = nil
	}
	if err != nil {
		return Outputs{}, err
	}
	return out, nil
}
