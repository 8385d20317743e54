//go:build cgo

package infer

import (
	"context"
	"errors"
	"image"
	"image/color"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// changed exports a small student and lets change alter the file.
func changed(t *testing.T, in models.Shape, opts export.Options, change func(m *onnxpb.ModelProto)) []byte {
	t.Helper()
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, opts), m); err != nil {
		t.Fatal(err)
	}
	change(m)
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func extent(n int64) *onnxpb.TensorShapeProto_Dimension {
	return &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: n}}
}

// broken is an image whose pixels cannot be had.
type broken struct{ *image.Gray }

func (broken) At(int, int) color.Color { panic("no pixels") }

// TestPanickingImage: a caller that recovers from its own image's panic goes on,
// and so does the model.
func TestPanickingImage(t *testing.T) {
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 3, H: 8, W: 8}, 4), 1, export.Options{}), Options{})
	good := FromImage(picture(8, 8, 1))
	var missing *image.RGBA
	for name, bad := range map[string]Image{"panic": FromImage(broken{image.NewGray(image.Rect(0, 0, 8, 8))}), "nil pointer": FromImage(missing)} {
		images := []Image{good, bad, good, bad, bad, good, bad, bad} // some for each goroutine
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: nothing to recover", name)
				}
			}()
			_, err := m.Predict(context.Background(), images...)
			t.Errorf("%s: no panic, %v", name, err)
		}()
	}
	if _, err := m.Predict(context.Background(), good); err != nil {
		t.Error(err)
	}
}

// TestOddModels opens files that ONNX Runtime accepts and that are unlike any of
// ours.
func TestOddModels(t *testing.T) {
	rgb := models.Shape{C: 3, H: 8, W: 8}
	ctx, img := context.Background(), FromImage(picture(8, 8, 1))
	metadata := func(m *onnxpb.ModelProto, key, value string) {
		m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(key), Value: proto.String(value)})
	}
	foreign := func(m *onnxpb.ModelProto) { m.MetadataProps = nil }

	t.Run("pixels of four channels", func(t *testing.T) {
		in := models.Shape{C: 4, H: 8, W: 8}
		m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, export.Options{Uint8Input: true}), Options{})
		if _, err := m.Predict(ctx, img, img, img); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "4 channels") {
			t.Error(err)
		}
		if out, err := m.RunPixels(ctx, make([]uint8, in.Size()), 1); err != nil || len(out.Logits) != 4 {
			t.Error(out, err)
		}
	})
	t.Run("pixels, foreign", func(t *testing.T) {
		ours := openBytes(t, changed(t, rgb, export.Options{Uint8Input: true}, func(*onnxpb.ModelProto) {}), Options{})
		m := openBytes(t, changed(t, rgb, export.Options{Uint8Input: true}, foreign), Options{})
		batch := make([]uint8, 2*rgb.Size())
		for i := range batch {
			batch[i] = uint8(i)
		}
		want, err := ours.RunPixels(ctx, batch, 2)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.RunPixels(ctx, batch, 2); err != nil || largest(got.Logits, want.Logits) > 1e-5 {
			t.Error(got.Logits, want.Logits, err)
		}
		joined := openBytes(t, changed(t, rgb, export.Options{Uint8Input: true}, foreign), Options{Join: &Joining{}})
		if got, err := joined.RunPixels(ctx, batch, 2); err != nil || largest(got.Logits, want.Logits) > 1e-5 {
			t.Error(got.Logits, want.Logits, err)
		}
		if _, err := m.Predict(ctx, img); !errors.Is(err, ErrNoMetadata) || !strings.Contains(err.Error(), "RunPixels") {
			t.Error(err)
		}
	})
	t.Run("an output of nothing", func(t *testing.T) {
		m := openBytes(t, changed(t, rgb, export.Options{Outputs: []string{"logits"}}, func(m *onnxpb.ModelProto) {
			foreign(m)
			nothing := &onnxpb.TensorProto{Name: proto.String("nothing"), Dims: []int64{2}, DataType: proto.Int32(int32(onnxpb.TensorProto_INT64)),
				Int64Data: []int64{0, 0}}
			last := m.Graph.Node[len(m.Graph.Node)-1]
			last.Output[0] = "all"
			m.Graph.Initializer = append(m.Graph.Initializer, nothing)
			one := &onnxpb.TensorProto{Name: proto.String("axis"), Dims: []int64{1}, DataType: proto.Int32(int32(onnxpb.TensorProto_INT64)), Int64Data: []int64{1}}
			zero := &onnxpb.TensorProto{Name: proto.String("zero"), Dims: []int64{1}, DataType: proto.Int32(int32(onnxpb.TensorProto_INT64)), Int64Data: []int64{0}}
			m.Graph.Initializer = append(m.Graph.Initializer, one, zero)
			m.Graph.Node = append(m.Graph.Node, &onnxpb.NodeProto{OpType: proto.String("Slice"), Input: []string{"all", "zero", "zero", "axis"}, Output: []string{"logits"}})
			m.Graph.Output[0].Type.GetTensorType().Shape.Dim[1] = &onnxpb.TensorShapeProto_Dimension{}
		}), Options{Preset: &Preset{}})
		if _, err := m.Predict(ctx, img); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "[1 0]") {
			t.Error(err)
		}
	})
	t.Run("an output of one sample", func(t *testing.T) {
		m := openBytes(t, changed(t, rgb, export.Options{Outputs: []string{"logits"}}, func(m *onnxpb.ModelProto) {
			m.Graph.Output[0].Type.GetTensorType().Shape.Dim[0] = extent(1)
		}), Options{})
		if _, err := m.Predict(ctx, img); err != nil {
			t.Error(err)
		}
		if _, err := m.Predict(ctx, img, img); !errors.Is(err, ErrUnsupported) {
			t.Errorf("a failure of ONNX Runtime: %v", err)
		}
	})
	t.Run("an impossible input", func(t *testing.T) {
		needRuntime(t)
		data := changed(t, rgb, export.Options{}, func(m *onnxpb.ModelProto) {
			foreign(m)
			m.Graph.Node = []*onnxpb.NodeProto{{OpType: proto.String("Flatten"), Input: []string{"input"}, Output: []string{"logits"}}}
			m.Graph.Initializer, m.Graph.Output = nil, m.Graph.Output[:1]
			shape := m.Graph.Input[0].Type.GetTensorType().Shape
			shape.Dim[2], shape.Dim[3] = extent(1<<31), extent(1<<32)
			m.Graph.Output[0].Type.GetTensorType().Shape.Dim[1] = &onnxpb.TensorShapeProto_Dimension{}
		})
		if m, err := OpenBytes(Options{}, data); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v, %v", m, err)
		}
	})
	t.Run("very many entries of metadata", func(t *testing.T) {
		m := openBytes(t, changed(t, rgb, export.Options{}, func(m *onnxpb.ModelProto) {
			for i := range 10_000 {
				metadata(m, "other."+strconv.Itoa(i), "x")
			}
		}), Options{})
		if info := m.Info(); info.Architecture != "convnet" || len(m.current.Load().networks[0].desc.Metadata) > 20 {
			t.Errorf("%+v with %d entries", info, len(m.current.Load().networks[0].desc.Metadata))
		}
	})
}

// TestDropped: a model that nobody closed is freed with the memory that held it.
func TestDropped(t *testing.T) {
	needRuntime(t)
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 4), 1, export.Options{})
	users := func() int {
		environment.mu.Lock()
		defer environment.mu.Unlock()
		return environment.users
	}
	before := users()
	func() {
		m, err := OpenBytes(Options{Threads: 1}, data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Run(context.Background(), make([]float32, 64), 1); err != nil {
			t.Fatal(err)
		}
	}()
	for range 1000 {
		if runtime.GC(); users() == before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d users of the environment, %d before", users(), before)
}

// TestReplaceByNothing: neither nil, nor the model itself, nor a closed one ends
// what works.
func TestReplaceByNothing(t *testing.T) {
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 4), 1, export.Options{}), Options{})
	closed := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 4), 1, export.Options{}), Options{})
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, next := range []*Model{nil, m, closed} {
		if err := m.Replace(next); !errors.Is(err, ErrWrongInput) {
			t.Errorf("%v: %v", next, err)
		}
		if _, err := m.Run(context.Background(), make([]float32, 64), 1); err != nil {
			t.Error(err)
		}
	}
}

// TestCloseDoesNotWait: calls that wait for others are computed when the model is
// closed or replaced.
func TestCloseDoesNotWait(t *testing.T) {
	needRuntime(t)
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 4), 1, export.Options{})
	for name, end := range map[string]func(m *Model) error{
		"close":   func(m *Model) error { return m.Close() },
		"replace": func(m *Model) error { return m.Replace(openBytes(t, data, Options{})) },
	} {
		m := openBytes(t, data, Options{MaxBatch: 100, Join: &Joining{MaxWait: 24 * time.Hour}})
		const calls = 8
		var wg, entered sync.WaitGroup
		entered.Add(calls)
		for i := range calls {
			img := announced{picture(8, 8, uint64(i)), sync.OnceFunc(entered.Done)}
			wg.Go(func() {
				if p, err := m.Predict(context.Background(), FromImage(img)); err != nil || len(p) != 1 {
					t.Errorf("%s: %v, %v", name, p, err)
				}
			})
		}
		entered.Wait()
		if err := end(m); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

// announced is an image that tells when it is looked at.
type announced struct {
	image.Image
	tell func()
}

func (a announced) Bounds() image.Rectangle {
	a.tell()
	return a.Image.Bounds()
}

// TestNoNumbers: scores of NaN are no prediction.
func TestNoNumbers(t *testing.T) {
	m := openBytes(t, changed(t, models.Shape{C: 3, H: 8, W: 8}, export.Options{}, func(m *onnxpb.ModelProto) {
		for _, w := range m.Graph.Initializer {
			for i := 0; i+4 <= len(w.RawData); i += 4 {
				copy(w.RawData[i:], []byte{0, 0, 0xc0, 0x7f}) // NaN
			}
		}
	}), Options{})
	img := FromImage(picture(8, 8, 1))
	if p, err := m.Predict(context.Background(), img, img); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "image 1: model cannot be run: its probabilities") || len(p) != 2 || p[0].Probabilities != nil {
		t.Errorf("%v, %v", p, err)
	}
	if v, err := m.Embed(context.Background(), img); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, %v", v, err)
	}
	if out, err := m.Run(context.Background(), make([]float32, 192), 1); err != nil || len(out.Logits) != 4 || out.Logits[0] == out.Logits[0] {
		t.Errorf("raw: %v, %v", out, err)
	}
}
