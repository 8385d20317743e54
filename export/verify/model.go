//go:build cgo

package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
)

// Model is an exported model on ONNX Runtime, whatever its outputs, and whether
// its input is normalised or uint8. It is not safe for concurrent use.
type Model struct {
	release func() error
	session *ort.DynamicAdvancedSession
	input   ort.InputOutputInfo
	outputs []string
}

// Open loads a model from the bytes of an ONNX file. The error wraps
// [export.ErrNotONNX] for other bytes, and what infer.OpenBytes's wraps where ONNX
// Runtime is missing.
func Open(model []byte, opts infer.Options) (_ *Model, err error) {
	if err := export.Check(model); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	m := &Model{}
	if m.release, err = infer.AcquireRuntime(opts.Library); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if err := m.load(model, opts.Threads); err != nil {
		return nil, errors.Join(fmt.Errorf("verify: %w", err), m.Close())
	}
	return m, nil
}

func (m *Model) load(model []byte, threads int) error {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(model)
	if err != nil {
		return err
	}
	if len(inputs) != 1 || !slices.Contains([]ort.TensorElementDataType{ort.TensorElementDataTypeFloat, ort.TensorElementDataTypeUint8}, inputs[0].DataType) ||
		len(inputs[0].Dimensions) == 0 {
		return fmt.Errorf("%d inputs, such as %v; one of float32 or uint8 is needed", len(inputs), inputs[:min(1, len(inputs))])
	}
	m.input = inputs[0]
	for _, out := range outputs {
		if out.DataType != ort.TensorElementDataTypeFloat {
			return fmt.Errorf("output %v is not of float32", &out)
		}
		m.outputs = append(m.outputs, out.Name)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if err := options.SetIntraOpNumThreads(threads); err != nil {
		return err
	}
	m.session, err = ort.NewDynamicAdvancedSessionWithONNXData(model, []string{m.input.Name}, m.outputs, options)
	return err
}

// Outputs returns the outputs' names in the file's order.
func (m *Model) Outputs() []string { return slices.Clone(m.outputs) }

// Close frees the model.
func (m *Model) Close() error {
	var err error
	if m.session != nil {
		err = m.session.Destroy()
		m.session = nil
	}
	return errors.Join(err, m.release())
}

// Run returns what each output holds for the samples, [N, ...], by its name. At
// most batch samples, 0 for all, run at a time; a model with a fixed batch
// decides itself, and what lacks in its last one are zeros.
func (m *Model) Run(ctx context.Context, in Samples, batch int) (map[string][]float32, error) {
	if err := in.validate(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if batch <= 0 {
		batch = in.N
	}
	fixed := m.input.Dimensions[0] > 0
	if fixed {
		batch = int(m.input.Dimensions[0])
	}
	out := make(map[string][]float32, len(m.outputs))
	for start := 0; start < in.N; start += batch {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("verify: %w", context.Cause(ctx))
		}
		n := min(batch, in.N-start)
		rows := n
		if fixed {
			rows = batch
		}
		if err := m.step(in, start, n, rows, out); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	return out, nil
}

// step runs the n samples from start on, as a batch of so many rows, and appends
// the results to out.
func (m *Model) step(in Samples, start, n, rows int, out map[string][]float32) (failure error) {
	var pin runtime.Pinner // ONNX Runtime holds a pointer to the input between calls
	defer pin.Unpin()
	input, err := m.tensor(in, start, n, rows, &pin)
	if err != nil {
		return err
	}
	values := make([]ort.Value, len(m.outputs))
	defer func() {
		for _, v := range append(values, input) {
			if v != nil {
				failure = errors.Join(failure, v.Destroy())
			}
		}
	}()
	if err := m.session.Run([]ort.Value{input}, values); err != nil {
		return err
	}
	for i, name := range m.outputs {
		t, ok := values[i].(*ort.Tensor[float32])
		if !ok || len(t.GetData())%rows != 0 {
			return fmt.Errorf("output %q has the shape %v for %d samples", name, values[i].GetShape(), rows)
		}
		width := len(t.GetData()) / rows
		out[name] = append(out[name], t.GetData()[:n*width]...)
	}
	return nil
}

func (m *Model) tensor(in Samples, start, n, rows int, pin *runtime.Pinner) (ort.Value, error) {
	shape := append(ort.Shape{int64(rows)}, m.input.Dimensions[1:]...)
	size := int(ort.Shape(m.input.Dimensions[1:]).FlattenedSize())
	if given := (len(in.Inputs) + len(in.Pixels)) / in.N; size != given {
		return nil, fmt.Errorf("samples of %d values for the input %v", given, &m.input)
	}
	if m.input.DataType == ort.TensorElementDataTypeUint8 {
		if in.Pixels == nil {
			return nil, fmt.Errorf("the input %v takes pixels, not normalised values", &m.input)
		}
		data := make([]uint8, rows*size)
		copy(data, in.Pixels[start*size:(start+n)*size])
		pin.Pin(&data[0])
		return ort.NewTensor(shape, data)
	}
	if in.Inputs == nil {
		return nil, fmt.Errorf("the input %v takes normalised values, not pixels", &m.input)
	}
	data := make([]float32, rows*size)
	copy(data, in.Inputs[start*size:(start+n)*size])
	pin.Pin(&data[0])
	return ort.NewTensor(shape, data)
}
