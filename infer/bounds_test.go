//go:build cgo

package infer

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
)

// TestHugeBatch: a file whose batch no memory is for is refused when it opens, where
// a call would end the program.
func TestHugeBatch(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 3, H: 16, W: 16}
	batch := func(n int64, ours bool) []byte {
		return changed(t, in, export.Options{}, func(m *onnxpb.ModelProto) {
			if !ours {
				m.MetadataProps = nil
			}
			for _, v := range append(m.Graph.Output, m.Graph.Input...) {
				v.Type.GetTensorType().Shape.Dim[0] = extent(n)
			}
		})
	}
	for _, ours := range []bool{true, false} {
		if _, err := OpenBytes(Options{}, batch(1e9, ours)); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "fixed batch of 1000000000 samples of 768 values") {
			t.Errorf("ours %v: %v", ours, err)
		}
	}
	m := openBytes(t, batch(1000, true), Options{})
	if out, err := m.Run(context.Background(), make([]float32, in.Size()), 1); err != nil || out.N != 1 {
		t.Errorf("a batch of 1000: %d, %v", out.N, err)
	}
}

// TestHugeOutput: an output that a file declares larger than memory fails a call, not
// the program.
func TestHugeOutput(t *testing.T) {
	m := openBytes(t, changed(t, models.Shape{C: 3, H: 8, W: 8}, export.Options{Outputs: []string{"logits"}}, func(m *onnxpb.ModelProto) {
		m.MetadataProps = nil
		m.Graph.Output[0].Type.GetTensorType().Shape.Dim[1] = extent(1 << 28)
	}), Options{})
	if out, err := m.Run(context.Background(), make([]float32, 8*192), 8); err == nil && len(out.Logits) != 8*4 {
		t.Errorf("%d values, %v", len(out.Logits), err)
	}
}

// TestPromises: metadata that contradict themselves or the graph are refused.
func TestPromises(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 3, H: 8, W: 8}
	set := func(key, value string) func(m *onnxpb.ModelProto) {
		return func(m *onnxpb.ModelProto) {
			for _, p := range m.MetadataProps {
				if p.GetKey() == key {
					p.Value = proto.String(value)
					return
				}
			}
			t.Fatalf("no key %s", key)
		}
	}
	twice := changed(t, in, export.Options{}, set(onnxmeta.KeyClasses, `["a","b","a","d"]`))
	if _, err := OpenBytes(Options{}, twice); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `holds "a" twice`) {
		t.Errorf("a class twice: %v", err)
	}
	m := new(onnxpb.ModelProto)
	cohort := exporttest.Cohort(t, export.Options{}, exporttest.Network(t, "convnet", in, 4), exporttest.Network(t, "convnet", in, 4))
	if err := proto.Unmarshal(cohort, m); err != nil {
		t.Fatal(err)
	}
	set(onnxmeta.KeyStudents, `["a","c"]`)(m)
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBytes(Options{}, data); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `not of "c"`) {
		t.Errorf("a student without outputs: %v", err)
	}
}

// TestNewestIR: ortlib.NewestIR, by which inspect judges, is what the library reads.
func TestNewestIR(t *testing.T) {
	needRuntime(t)
	lib, err := ortlib.Find("")
	if err != nil {
		t.Fatal(err)
	}
	version := func(v int64) []byte {
		return changed(t, models.Shape{C: 3, H: 8, W: 8}, export.Options{}, func(m *onnxpb.ModelProto) { m.IrVersion = proto.Int64(v) })
	}
	openBytes(t, version(ortlib.NewestIR), Options{})
	if lib.Version != ortlib.Wanted {
		t.Logf("the library is %s, not %s: it may read more", lib.Version, ortlib.Wanted)
	} else if _, err := OpenBytes(Options{}, version(ortlib.NewestIR+1)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("version %d: %v", ortlib.NewestIR+1, err)
	}
}

// TestNamedOutputs asks for outputs by name.
func TestNamedOutputs(t *testing.T) {
	in := models.Shape{C: 3, H: 8, W: 8}
	data := exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, export.Options{})
	all, one := openBytes(t, data, Options{}), openBytes(t, data, Options{Outputs: []string{"embedding"}})
	batch := noise(3*in.Size(), 1)
	want, err := all.Run(context.Background(), batch, 3)
	if err != nil || want.Named != nil {
		t.Fatal(want.Named, err)
	}
	got, err := one.Run(context.Background(), batch, 3)
	if err != nil || got.Logits != nil || got.Probabilities != nil || largest(got.Named["embedding"], want.Embedding) > 1e-5 || largest(got.Embedding, want.Embedding) > 1e-5 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := one.Predict(context.Background(), FromImage(picture(8, 8, 1))); !errors.Is(err, ErrNoOutput) {
		t.Errorf("probabilities that were not asked for: %v", err)
	}
	if v, err := one.Embed(context.Background(), FromImage(picture(8, 8, 1))); err != nil || len(v[0]) != 64 {
		t.Error(v, err)
	}
	if names := one.Info().Outputs; strings.Join(names, " ") != "logits probabilities embedding" {
		t.Error(names)
	}
	if _, err := OpenBytes(Options{Outputs: []string{"scores"}}, data); !errors.Is(err, ErrNoOutput) || !strings.Contains(err.Error(), `"scores"; it has logits, probabilities, embedding`) {
		t.Errorf("an output that is not there: %v", err)
	}
	if _, err := OpenBytes(Options{Outputs: []string{"logits", "logits"}}, data); !errors.Is(err, ErrWrongInput) {
		t.Errorf("twice: %v", err)
	}
}

// deep is a PNG of 16 bits a channel, in few bytes.
func deep(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	img := image.NewNRGBA64(image.Rect(0, 0, width, height))
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMaxPixels: an image is refused by what its pixels take decoded.
func TestMaxPixels(t *testing.T) {
	var gray, colour bytes.Buffer
	if err := errors.Join(jpeg.Encode(&gray, image.NewGray(image.Rect(0, 0, 100, 100)), nil), jpeg.Encode(&colour, picture(100, 100, 1), nil)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data []byte
		size int
	}{
		"16-bit PNG": {deep(t, 100, 100), 80_000}, "PNG": {pngOf(t, congruential(100, 100, 1)), 40_000},
		"grey JPEG": {gray.Bytes(), 10_000}, "JPEG": {colour.Bytes(), 30_000},
	} {
		for _, limit := range []int{tc.size, tc.size - 1} {
			m, err := New(Options{MaxPixels: limit, Preset: &Preset{}}, nothing{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Embed(context.Background(), FromBytes(tc.data))
			if wrong := errors.Is(err, ErrImage) && strings.Contains(err.Error(), "MaxPixels"); wrong != (limit < tc.size) || !wrong && err != nil {
				t.Errorf("%s, limit %d: %v", name, limit, err)
			}
			if _, err := m.Decode(context.Background(), FromBytes(tc.data)); (err != nil) != (limit < tc.size) {
				t.Errorf("%s, limit %d: decoded: %v", name, limit, err)
			}
		}
	}
}

// busy counts how many of it are looked at, which takes a while, at a time.
type busy struct {
	image.Image
	now, most *atomic.Int64
}

func (b busy) Bounds() image.Rectangle {
	n := b.now.Add(1)
	for old := b.most.Load(); n > old && !b.most.CompareAndSwap(old, n); old = b.most.Load() {
	}
	time.Sleep(time.Millisecond)
	b.now.Add(-1)
	return b.Image.Bounds()
}

// TestDecodes: calls together decode no more images at a time than the options say.
func TestDecodes(t *testing.T) {
	m, err := New(Options{Decodes: 2, Preset: &Preset{}}, nothing{})
	if err != nil {
		t.Fatal(err)
	}
	var now, most atomic.Int64
	img := FromImage(busy{picture(4, 4, 1), &now, &most})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := m.Embed(context.Background(), img, img, img); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n < 1 || n > 2 {
		t.Errorf("%d at a time", n)
	}
	// A call whose context ends does not wait for its turn.
	g := m.current.Load()
	g.decodes <- struct{}{}
	g.decodes <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := m.Embed(ctx, img); !errors.Is(err, ErrCancelled) {
		t.Errorf("waiting for its turn: %v", err)
	}
}

// TestOneOfMany: one broken image of 64 fails alone, with calls joined and not.
func TestOneOfMany(t *testing.T) {
	needRuntime(t)
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 3, H: 8, W: 8}, 4), 1, export.Options{})
	for name, opts := range map[string]Options{"plain": {MaxBatch: 10}, "joined": {MaxBatch: 10, Join: &Joining{}}} {
		m := openBytes(t, data, opts)
		images := make([]Image, 64)
		for i := range images {
			images[i] = FromImage(picture(8, 8, uint64(i)))
		}
		want, err := m.Predict(context.Background(), images...)
		if err != nil {
			t.Fatal(err)
		}
		images[37] = FromBytes([]byte("no image"))
		got, err := m.Predict(context.Background(), images...)
		var faults *ImagesError
		if !errors.As(err, &faults) || !errors.Is(err, ErrImage) || len(faults.Errs) != 64 || len(faults.Unwrap()) != 1 || !errors.Is(faults.Errs[37], ErrImage) ||
			!strings.HasPrefix(err.Error(), "infer: image 38: ") {
			t.Errorf("%s: %v", name, err)
		}
		for i, p := range got {
			if i == 37 {
				if p.Probabilities != nil || p.Top != nil {
					t.Errorf("%s: the broken image has %+v", name, p)
				}
			} else if largest(p.Probabilities, want[i].Probabilities) > 1e-5 || len(p.Top) != 4 {
				t.Errorf("%s: image %d: %v, want %v", name, i, p, want[i])
			}
		}
		// A whole batch of broken ones, and nothing else.
		for i := range images {
			images[i] = Image{}
		}
		before := m.Stats().Batches.Count
		vectors, err := m.Embed(context.Background(), images...)
		if !errors.As(err, &faults) || len(faults.Unwrap()) != 64 || len(vectors) != 64 || vectors[0] != nil || !strings.Contains(err.Error(), "61 more of 64 images") {
			t.Errorf("%s: all broken: %v", name, err)
		}
		if after := m.Stats(); after.Batches.Count != before || after.Faulty != 65 || after.Images != 192 || after.Failed != 0 || after.Calls != 3 {
			t.Errorf("%s: %+v", name, after)
		}
	}
}
