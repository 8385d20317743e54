package gorgonia_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/inspect"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/infer/gorgonia"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// changed returns the model with n seeded changes to what its operators depend
// on: attributes, the shapes and data of weights, what nodes read and are.
func changed(t testing.TB, model []byte, seed uint64, n int) []byte {
	t.Helper()
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(model, m); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	values := []int64{-1, 0, 1, 2, 3, 4, 8, 16, 1 << 40}
	names := []string{""}
	for _, node := range m.Graph.Node {
		names = append(append(names, node.Input...), node.Output...)
	}
	for range n {
		w := m.Graph.Initializer[rng.IntN(len(m.Graph.Initializer))]
		node := m.Graph.Node[rng.IntN(len(m.Graph.Node))]
		switch rng.IntN(8) {
		case 0:
			if len(w.Dims) > 0 {
				w.Dims[rng.IntN(len(w.Dims))] = values[rng.IntN(len(values))]
			}
		case 1: // as many values, another shape
			rng.Shuffle(len(w.Dims), func(i, j int) { w.Dims[i], w.Dims[j] = w.Dims[j], w.Dims[i] })
		case 2: // a smaller weight that is whole
			if len(w.Dims) > 0 && w.Dims[0] > 1 {
				w.RawData = w.RawData[:int64(len(w.RawData))/w.Dims[0]]
				w.Dims[0] = 1
			}
		case 3:
			w.RawData = w.RawData[:len(w.RawData)/2]
		case 4:
			if len(node.Attribute) > 0 {
				a := node.Attribute[rng.IntN(len(node.Attribute))]
				a.I = proto.Int64(values[rng.IntN(len(values))])
				if len(a.Ints) > 0 {
					a.Ints[rng.IntN(len(a.Ints))] = values[rng.IntN(len(values))]
				}
			}
		case 5:
			node.Input[rng.IntN(len(node.Input))] = names[rng.IntN(len(names))]
		case 6:
			ops := []string{"Relu", "Add", "Flatten", "Softmax", "GlobalAveragePool", "Identity", "Gemm", "BatchNormalization", "Conv"}
			node.OpType = proto.String(ops[rng.IntN(len(ops))])
		case 7:
			for _, a := range node.Attribute { // another window, all its sides alike
				for i := range a.Ints {
					a.Ints[i] = values[rng.IntN(6)]
				}
			}
		}
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tryOut opens a model and runs it: it may be refused when it opens, as
// export/inspect says, but what opens must compute what ONNX Runtime does. It
// tells whether the model ran.
func tryOut(t *testing.T, data []byte) bool {
	t.Helper()
	m, err := infer.OpenBytes(infer.Options{Engine: gorgonia.Engine{}}, data)
	if report, unreadable := inspect.Bytes(data); unreadable == nil && err == nil && !report.Gorgonia.Runs {
		t.Errorf("it opens, but inspect says %q", report.Gorgonia.Notes)
	}
	if err != nil {
		if !errors.Is(err, infer.ErrUnsupported) && !errors.Is(err, infer.ErrNotONNX) {
			t.Errorf("refused by %v", err)
		}
		return false
	}
	defer m.Close()
	info := m.Info()
	if size := info.Channels * max(1, info.Height) * max(1, info.Width); size > 1<<12 {
		return false
	}
	batch := noise(2 * info.Channels * max(1, info.Height) * max(1, info.Width))
	got, err := m.Run(context.Background(), batch, 2)
	if err != nil {
		t.Errorf("it opens and does not run: %v", err)
		return false
	}
	runtime, err := infer.OpenBytes(infer.Options{Threads: 1}, data)
	if err != nil {
		return true // stricter, or not there
	}
	defer runtime.Close()
	want, err := runtime.Run(context.Background(), batch, 2)
	if err != nil {
		return true
	}
	for i, pair := range [][2][]float32{{got.Logits, want.Logits}, {got.Probabilities, want.Probabilities}, {got.Embedding, want.Embedding}} {
		if slices.ContainsFunc(pair[1], func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }) {
			continue
		}
		if len(pair[0]) == 0 && len(pair[1]) == 0 {
			continue
		}
		if d, scale := largest(pair[0], pair[1]), max(1, largest(pair[1], make([]float32, len(pair[1])))); d > 1e-3*scale {
			t.Errorf("output %d differs by %v, of values up to %v", i, d, scale)
		}
	}
	return true
}

func small(t testing.TB) []byte {
	return student(t, "resnet8", models.Shape{C: 3, H: 8, W: 8}, export.Options{KeepBatchNorm: true})
}

// TestChangedModels: weights that do not fit, and the like, never panic, in
// whatever goroutine.
func TestChangedModels(t *testing.T) {
	good, ran := small(t), 0
	if !tryOut(t, good) {
		t.Fatal("the model itself does not run")
	}
	const changes = 150
	for seed := range uint64(changes) {
		if tryOut(t, changed(t, good, seed, 1+int(seed%2))) {
			ran++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d changed models run", ran, changes)
	if ran == 0 || ran == changes {
		t.Error("the changes are not of both kinds")
	}
}

// FuzzChanged changes a model where it matters.
func FuzzChanged(f *testing.F) {
	good := small(f)
	f.Add(uint64(1), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) { tryOut(t, changed(t, good, seed, 1+int(n%4))) })
}

// FuzzOpen feeds changed bytes: they may be refused, never panic.
func FuzzOpen(f *testing.F) {
	good := student(f, "convnet", models.Shape{C: 1, H: 4, W: 4}, export.Options{})
	f.Add(good)
	f.Add(good[:len(good)-100])
	f.Add([]byte{0x3a, 0x00})
	f.Add([]byte{0x3a, 0x04, 0x0a, 0x02, 0x0a, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := infer.OpenBytes(infer.Options{Engine: gorgonia.Engine{}}, data)
		if err != nil {
			return
		}
		defer m.Close()
		info := m.Info()
		if size := info.Channels * max(1, info.Height) * max(1, info.Width); size <= 1<<10 {
			_, _ = m.Run(context.Background(), noise(2*size), 2)
		}
	})
}
