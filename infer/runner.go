//go:build cgo

package infer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// runner holds the tensors of one call of n samples.
type runner struct {
	n       int
	data    Input // made when it is first written to
	inShape ort.Shape
	buffers [][]float32 // of each output; nil where ONNX Runtime allocates
	size    int         // of all buffers together
	inputs  []ort.Value // data, or for one call the caller's own
	outputs []ort.Value // nil where ONNX Runtime allocates
	options *ort.RunOptions
	// How a cancelled context stops the network: stop is called, and says so on
	// stopped once it no longer uses the options.
	stop    func()
	stopErr error
	stopped chan struct{}
	// pin keeps the buffers in place: ONNX Runtime holds pointers to them
	// between calls. lent keeps the caller's in place for one.
	pin, lent runtime.Pinner
}

// held is a tensor whose internals the binding need not wrap anew each call.
type held struct {
	ort.Value
	internals *ort.ValueInternalData
}

func hold(v ort.Value) ort.Value { return held{v, v.GetInternals()} }

func (h held) GetInternals() *ort.ValueInternalData { return h.internals }

func newRunner(n int, s *ortSession) (_ *runner, err error) {
	r := &runner{n: n, inputs: make([]ort.Value, 1), stopped: make(chan struct{}, 1)}
	r.inShape = r.shape(s.desc.Input)
	r.stop = func() {
		r.stopErr = r.options.Terminate()
		r.stopped <- struct{}{}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.destroy())
		}
	}()
	for _, output := range s.outputs {
		var buffer []float32
		var out ort.Value
		// One that is too large to be right is left to ONNX Runtime, which fails
		// where there is no memory for it, while Go's allocator would end the program.
		if sample := output.Sample(); sample > 0 && sample <= onnxmeta.MaxSample/n {
			buffer = make([]float32, r.n*output.Sample())
			if out, err = tensor(r.shape(output), buffer, &r.pin); err != nil {
				return r, err
			}
			out = hold(out)
		}
		r.size += len(buffer)
		r.buffers, r.outputs = append(r.buffers, buffer), append(r.outputs, out)
	}
	r.options, err = ort.NewRunOptions()
	return r, err
}

// shape is that of the tensor for r's samples.
func (r *runner) shape(info TensorInfo) ort.Shape {
	return append(ort.Shape{int64(r.n)}, info.Dims[1:]...)
}

// tensor makes one in Go's memory, which pin keeps in place.
func tensor[T float32 | uint8](shape ort.Shape, data []T, pin *runtime.Pinner) (ort.Value, error) {
	pin.Pin(&data[0])
	t, err := ort.NewTensor(shape, data)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// input makes the input tensor of in.
func (r *runner) input(in Input, pin *runtime.Pinner) (ort.Value, error) {
	if in.Uint8 != nil {
		return tensor(r.inShape, in.Uint8, pin)
	}
	return tensor(r.inShape, in.Float32, pin)
}

// own returns r's input to write to.
func (r *runner) own(info TensorInfo) (Input, error) {
	if r.inputs[0] == nil {
		r.data = newInput(info, r.n, info.Sample())
		v, err := r.input(r.data, &r.pin)
		if err != nil {
			return Input{}, err
		}
		r.inputs[0] = hold(v)
	}
	return r.data, nil
}

// runOn runs the network on the caller's memory, without a copy.
func (r *runner) runOn(ctx context.Context, s *ortSession, in Input) (out Outputs, err error) {
	lent, err := r.input(in, &r.lent)
	defer r.lent.Unpin()
	if err != nil {
		return Outputs{}, err
	}
	own := r.inputs[0]
	r.inputs[0] = lent
	defer func() {
		r.inputs[0] = own
		err = errors.Join(err, lent.Destroy())
	}()
	return r.run(ctx, s)
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
		return r.collect(s, r.call(s))
	}
	if ctx.Err() != nil {
		return Outputs{}, cancelled(ctx)
	}
	cancelStop := context.AfterFunc(ctx, r.stop)
	err := r.call(s)
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

// call makes ONNX Runtime compute.
func (r *runner) call(s *ortSession) error {
	if err := s.session.RunWithOptions(r.inputs, r.outputs, r.options); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return nil
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
				out.put(s.places[i], len(s.desc.Students), all[at:len(all):len(all)])
			}
			continue
		}
		if r.outputs[i] == nil {
			continue
		}
		if t, ok := r.outputs[i].(*ort.Tensor[float32]); ok && len(t.GetData()) > 0 && len(t.GetData())%r.n == 0 {
			out.put(s.places[i], len(s.desc.Students), slices.Clone(t.GetData()))
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
