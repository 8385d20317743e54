//go:build cgo

package infer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// ortSession runs a model on ONNX Runtime.
type ortSession struct {
	session *ort.DynamicAdvancedSession
	desc    Description
	outputs []TensorInfo // of the session
	places  []place      // of each of them

	mu   sync.Mutex
	idle []*runner
}

// onnxRuntime is the standard Engine.
type onnxRuntime struct{}

// Load loads a model. What loading needed is undone on an error.
func (onnxRuntime) Load(src Source, opts Options) (_ Backend, err error) {
	if err := src.Check(); err != nil {
		return nil, err
	}
	if err := joinEnvironment(opts.Library); err != nil {
		return nil, err
	}
	s := &ortSession{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	model := ortModel(src)
	inputs, outputs, err := model.describe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if s.desc.Input, err = soleInput(inputs, opts.Preset); err != nil {
		return nil, err
	}
	all := make([]TensorInfo, 0, len(outputs))
	for _, out := range outputs {
		if isTensor(out, ort.TensorElementDataTypeFloat) {
			all = append(all, TensorInfo{Name: out.Name, Dims: out.Dimensions})
		}
	}
	if err := s.desc.Assign(all, opts); err != nil {
		return nil, err
	}
	if err := s.findStudents(model, all); err != nil {
		return nil, err
	}
	s.outputs, s.places = s.desc.wanted()
	names := make([]string, len(s.outputs))
	for i, output := range s.outputs {
		names[i] = output.Name
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: it has no float32 output", ErrUnsupported)
	}
	if s.session, err = model.session(s.desc.Input.Name, names, opts); err != nil {
		if errors.Is(err, ErrNoProvider) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if s.desc.Metadata == nil {
		m, err := s.session.GetModelMetadata()
		if err != nil {
			return nil, fmt.Errorf("%w: its metadata: %w", ErrUnsupported, err)
		}
		if s.desc.Metadata, err = metadata(m); err != nil {
			return nil, fmt.Errorf("%w: its metadata: %w", ErrUnsupported, err)
		}
	}
	s.desc.Path, s.desc.Runtime = src.Path, ort.GetVersion()
	// One that is dropped without Close would end the program otherwise: pinned
	// memory must not become garbage.
	runtime.SetFinalizer(s, func(s *ortSession) { _ = s.Close() })
	return s, nil
}

// ortModel is a source as ONNX Runtime reads it.
type ortModel Source

func (s ortModel) describe() (inputs, outputs []ort.InputOutputInfo, err error) {
	if s.Data != nil {
		return ort.GetInputOutputInfoWithONNXData(s.Data)
	}
	// This loads the model a first time, only to read its interface.
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, nil, err
	}
	defer o.Destroy()
	if err := o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelDisableAll); err != nil {
		return nil, nil, err
	}
	return ort.GetInputOutputInfoWithOptions(s.Path, o)
}

func (s ortModel) session(input string, outputs []string, opts Options) (*ort.DynamicAdvancedSession, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer o.Destroy()
	threads := opts.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if err := errors.Join(o.SetIntraOpNumThreads(threads), o.SetInterOpNumThreads(1)); err != nil {
		return nil, err
	}
	if err := opts.Provider.add(o); err != nil {
		return nil, err
	}
	if s.Data != nil {
		return ort.NewDynamicAdvancedSessionWithONNXData(s.Data, []string{input}, outputs, o)
	}
	return ort.NewDynamicAdvancedSession(s.Path, []string{input}, outputs, o)
}

func isTensor(t ort.InputOutputInfo, of ort.TensorElementDataType) bool {
	return t.OrtValueType == ort.ONNXTypeTensor && t.DataType == of && len(t.Dimensions) > 0
}

// soleInput returns the input of a model that has one, a tensor of float32 or
// uint8 whose samples have a fixed size, or one that the preset fixes.
func soleInput(inputs []ort.InputOutputInfo, preset *Preset) (TensorInfo, error) {
	if len(inputs) != 1 {
		names := make([]string, len(inputs))
		for i, in := range inputs {
			names[i] = in.Name
		}
		return TensorInfo{}, fmt.Errorf("%w: it has %d inputs %q, one is needed", ErrUnsupported, len(inputs), names)
	}
	isUint8 := isTensor(inputs[0], ort.TensorElementDataTypeUint8)
	if !isUint8 && !isTensor(inputs[0], ort.TensorElementDataTypeFloat) {
		return TensorInfo{}, fmt.Errorf("%w: its input is %s, a tensor of float32 or uint8 is needed", ErrUnsupported, inputs[0].String())
	}
	in := preset.fix(TensorInfo{Name: inputs[0].Name, Dims: inputs[0].Dimensions, Uint8: isUint8})
	return in, in.CheckInput()
}

// findStudents looks for the outputs of each student in a file that holds a
// cohort. A session is made for chosen outputs, so this must come before it: the
// metadata are read ahead, from files alone that have outputs of such names.
func (s *ortSession) findStudents(src ortModel, outputs []TensorInfo) error {
	if !slices.ContainsFunc(outputs, func(t TensorInfo) bool { return onnxmeta.IsStudentOutput(t.Name) }) {
		return nil
	}
	m, err := src.metadata()
	if err != nil {
		return fmt.Errorf("%w: its metadata: %w", ErrUnsupported, err)
	}
	if s.desc.Metadata, err = metadata(m); err != nil {
		return fmt.Errorf("%w: its metadata: %w", ErrUnsupported, err)
	}
	meta, err := onnxmeta.Parse(s.desc.Metadata)
	if err != nil {
		return nil // newNetwork tells what that means
	}
	s.desc.findStudents(meta.Students)
	return nil
}

func (s ortModel) metadata() (*ort.ModelMetadata, error) {
	if s.Data != nil {
		return ort.GetModelMetadataWithONNXData(s.Data)
	}
	return ort.GetModelMetadata(s.Path)
}

// metadata returns those entries of m that this toolkit knows, and frees it. ONNX
// Runtime copies all entries to look one up: of a file with very many the others
// would take minutes.
func metadata(m *ort.ModelMetadata) (map[string]string, error) {
	defer m.Destroy()
	keys, err := m.GetCustomMetadataMapKeys()
	if err != nil {
		return nil, err
	}
	props := make(map[string]string)
	for _, key := range keys {
		if !strings.HasPrefix(key, onnxmeta.Prefix) {
			continue
		}
		if props[key], _, err = m.LookupCustomMetadataMap(key); err != nil {
			return nil, err
		}
	}
	return props, nil
}

// Describe describes the model.
func (s *ortSession) Describe() Description { return s.desc }

// Close frees the session and leaves the environment.
func (s *ortSession) Close() error {
	runtime.SetFinalizer(s, nil)
	var errs []error
	for _, r := range s.idle {
		errs = append(errs, r.destroy())
	}
	s.idle = nil
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
	}
	return errors.Join(append(errs, leaveEnvironment())...)
}

// Run borrows a runner for n samples, so that concurrent calls share nothing
// but the session.
func (s *ortSession) Run(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	r, err := s.borrow(n)
	if err != nil {
		return Outputs{}, err
	}
	defer s.giveBack(r)
	in, err := r.own(s.desc.Input)
	if err != nil {
		return Outputs{}, err
	}
	if err := fill(in); err != nil {
		return Outputs{}, err
	}
	return r.run(ctx, s)
}

// leastLent is the size of an input, in values, from which on a copy takes longer
// than making a tensor of the caller's memory.
const leastLent = 1 << 14

// runOn is Run on samples that are in memory already.
func (s *ortSession) runOn(ctx context.Context, n int, in Input) (Outputs, error) {
	r, err := s.borrow(n)
	if err != nil {
		return Outputs{}, err
	}
	defer s.giveBack(r)
	if len(in.Float32)+len(in.Uint8) >= leastLent {
		return r.runOn(ctx, s, in)
	}
	own, err := r.own(s.desc.Input)
	if err != nil {
		return Outputs{}, err
	}
	own.copyFrom(in)
	return r.run(ctx, s)
}

var _ inPlace = (*ortSession)(nil)

// borrow returns an idle runner for n samples, or a new one.
func (s *ortSession) borrow(n int) (*runner, error) {
	s.mu.Lock()
	if i := slices.IndexFunc(s.idle, func(r *runner) bool { return r.n == n }); i >= 0 {
		r := s.idle[i]
		s.idle = slices.Delete(s.idle, i, i+1)
		s.mu.Unlock()
		return r, nil
	}
	s.mu.Unlock()
	return newRunner(n, s)
}

// giveBack keeps a runner for later, and lets go of the one unused for longest
// where there are more than can run at a time.
func (s *ortSession) giveBack(r *runner) {
	s.mu.Lock()
	s.idle = append(s.idle, r)
	var old *runner
	if len(s.idle) > runtime.GOMAXPROCS(0) {
		old = s.idle[0]
		s.idle = slices.Delete(s.idle, 0, 1)
	}
	s.mu.Unlock()
	if old != nil {
		_ = old.destroy() // releasing a tensor cannot fail
	}
}
