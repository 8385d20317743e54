//go:build cgo

package infer

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/models"
)

var cifar = models.Shape{C: 3, H: 32, W: 32}

// tinyOptions describe a network of three classes.
func tinyOptions() export.Options {
	return export.Options{
		Classes: []string{"cat", "dog", "emu"}, Mean: []float32{.4, .5, .6}, Std: []float32{.2, .25, .3},
		Dataset: "pets", Mode: "dml", Version: "0.0.1",
	}
}

func TestInfo(t *testing.T) {
	net := exporttest.Network(t, "convnet", models.Shape{C: 3, H: 16, W: 12}, 3)
	path := saved(t, "a.onnx", exporttest.Student(t, net, 1, tinyOptions()))
	needRuntime(t)
	m, err := Open(Options{Threads: 1}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	got := m.Info()
	if got.Path != path || got.Architecture != "convnet" || got.Channels != 3 || got.Height != 16 || got.Width != 12 || got.Batch != 0 ||
		got.Features != 64 || got.Students != 1 || got.Dataset != "pets" || got.Mode != "dml" || got.Toolkit != "0.0.1" || got.Foreign ||
		!slices.Equal(got.Classes, tinyOptions().Classes) || !slices.Equal(got.Mean, tinyOptions().Mean) || !strings.HasPrefix(got.Runtime, "1.") {
		t.Errorf("%+v", got)
	}
	got.Classes[0] = "changed"
	if m.Info().Classes[0] != "cat" {
		t.Error("Info hands out the model's own memory")
	}
}

// TestRun checks what must hold of any student: batches of any size give what
// single samples give, probabilities are the softmax of the logits.
func TestRun(t *testing.T) {
	net := exporttest.Network(t, "resnet8", cifar, 10)
	m := openBytes(t, exporttest.Student(t, net, 1, export.Options{}), Options{})
	size, n := cifar.Size(), 5
	batch := noise(n*size, 2)
	all, err := m.Run(context.Background(), batch, n)
	if err != nil {
		t.Fatal(err)
	}
	if all.N != n || len(all.Logits) != 10*n || len(all.Probabilities) != 10*n || len(all.Embedding) != 64*n {
		t.Fatalf("%d samples: %d logits, %d probabilities, %d features", all.N, len(all.Logits), len(all.Probabilities), len(all.Embedding))
	}
	for i := range n {
		one, err := m.Run(context.Background(), batch[i*size:(i+1)*size], 1)
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range one.Logits {
			if math.Abs(float64(v-all.Logits[i*10+j])) > 1e-4 {
				t.Errorf("sample %d, class %d: %v alone, %v in the batch", i, j, v, all.Logits[i*10+j])
			}
		}
		var sum float64
		for _, v := range one.Logits {
			sum += math.Exp(float64(v))
		}
		for j, v := range one.Logits {
			if want := math.Exp(float64(v)) / sum; math.Abs(want-float64(one.Probabilities[j])) > 1e-5 {
				t.Errorf("sample %d, class %d: probability %v, want %v", i, j, one.Probabilities[j], want)
			}
		}
	}
	kept := slices.Clone(all.Logits)
	if _, err := m.Run(context.Background(), noise(n*size, 3), n); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(kept, all.Logits) {
		t.Error("a later call changed the results of an earlier one")
	}
	for _, bad := range []struct{ values, n int }{{0, 0}, {size, 2}, {size - 1, 1}, {size, -1}} {
		if _, err := m.Run(context.Background(), make([]float32, bad.values), bad.n); !errors.Is(err, ErrWrongInput) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestRunAllocations counts the allocations of raw calls, with a context that
// can be cancelled and without, of samples that are copied and that are not.
func TestRunAllocations(t *testing.T) {
	in := models.Shape{C: 1, H: 28, W: 28}
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", in, 10), 1, export.Options{}), Options{Threads: 1})
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": cancellable} {
		for _, n := range []int{4, leastLent/in.Size() + 1} {
			batch := noise(n*in.Size(), 1)
			allocs := testing.AllocsPerRun(50, func() {
				if _, err := m.Run(ctx, batch, n); err != nil {
					t.Fatal(err)
				}
			})
			t.Logf("%s, %d samples: %v allocations a call", name, n, allocs)
			if allocs > 10 {
				t.Errorf("%s, %d samples: %v allocations a call", name, n, allocs)
			}
		}
	}
}

// TestLentInput runs large batches in the caller's memory, which has odd
// addresses, beside small ones that are copied: the results are the same.
func TestLentInput(t *testing.T) {
	in := models.Shape{C: 3, H: 32, W: 32}
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "resnet8", in, 10), 1, export.Options{}), Options{Threads: 1})
	const n = 8 // of more values than leastLent
	all := noise(n*in.Size()+3, 1)
	for from := range 4 {
		batch := all[from : from+n*in.Size()]
		before := slices.Clone(batch)
		got, err := m.Run(context.Background(), batch, n)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			one, err := m.Run(context.Background(), batch[i*in.Size():(i+1)*in.Size()], 1)
			if err != nil {
				t.Fatal(err)
			}
			if want := got.part(i, i+1); largest(one.Logits, want.Logits) > 1e-4 || largest(one.Embedding, want.Embedding) > 1e-4 {
				t.Errorf("offset %d, sample %d differs", from, i)
			}
		}
		if !slices.Equal(before, batch) {
			t.Error("the caller's batch was changed")
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(200*time.Microsecond, cancel)
		if _, err := m.Run(ctx, batch, n); err != nil && !errors.Is(err, ErrCancelled) {
			t.Error(err)
		}
		cancel()
	}
}

// TestPredict compares images in every form with tensors prepared by the
// formula of the metadata.
func TestPredict(t *testing.T) {
	opts := tinyOptions()
	net := exporttest.Network(t, "convnet", models.Shape{C: 3, H: 16, W: 12}, 3)
	m := openBytes(t, exporttest.Student(t, net, 4, opts), Options{TopK: 2, MaxBatch: 3})
	src := picture(12, 16, 5)
	tensor := make([]float32, 3*16*12)
	for y := range 16 {
		for x := range 12 {
			c := src.NRGBAAt(x, y)
			for i, v := range []uint8{c.R, c.G, c.B} {
				tensor[(i*16+y)*12+x] = float32((float64(v)/255 - float64(opts.Mean[i])) / float64(opts.Std[i]))
			}
		}
	}
	want, err := m.Run(context.Background(), tensor, 1)
	if err != nil {
		t.Fatal(err)
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, src); err != nil {
		t.Fatal(err)
	}
	path := saved(t, "misnamed.jpg", encoded.Bytes())
	images := []Image{FromImage(src), FromBytes(encoded.Bytes()), FromFile(path), FromImage(picture(40, 40, 6)), FromImage(src)}
	got, err := m.Predict(context.Background(), images...)
	if err != nil || len(got) != len(images) {
		t.Fatalf("%d predictions, %v", len(got), err)
	}
	for _, i := range []int{0, 1, 2, 4} {
		for c, p := range got[i].Probabilities {
			if math.Abs(float64(p-want.Probabilities[c])) > 1e-5 {
				t.Errorf("image %d: probabilities %v, want %v", i, got[i].Probabilities, want.Probabilities)
				break
			}
		}
	}
	for i, p := range got {
		if len(p.Top) != 2 || p.Top[0].Probability != slices.Max(p.Probabilities) || p.Top[1].Probability > p.Top[0].Probability ||
			p.Top[0].Label != opts.Classes[p.Top[0].Class] || p.Probabilities[p.Top[1].Class] != p.Top[1].Probability {
			t.Errorf("image %d: top %+v of %v", i, p.Top, p.Probabilities)
		}
	}

	vectors, err := m.Embed(context.Background(), images...)
	if err != nil || len(vectors) != len(images) {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	var norm, dot, raw float64
	for i, v := range vectors[0] {
		norm += float64(v) * float64(v)
		dot += float64(v) * float64(want.Embedding[i])
		raw += float64(want.Embedding[i]) * float64(want.Embedding[i])
	}
	if math.Abs(norm-1) > 1e-5 || math.Abs(dot/math.Sqrt(raw)-1) > 1e-5 {
		t.Errorf("length %v, cosine to the raw embedding %v", math.Sqrt(norm), dot/math.Sqrt(raw))
	}
}

func TestPredictGrey(t *testing.T) {
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 28, W: 28}, 10), 1, export.Options{}), Options{})
	grey := image.NewGray(image.Rect(0, 0, 28, 28))
	for i := range grey.Pix {
		grey.Pix[i] = uint8(i)
	}
	rgb := image.NewNRGBA(grey.Rect)
	for i, v := range grey.Pix {
		copy(rgb.Pix[4*i:], []uint8{v, v, v, 255})
	}
	p, err := m.Predict(context.Background(), FromImage(grey), FromImage(rgb))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p[0].Probabilities, p[1].Probabilities) {
		t.Errorf("grey %v, grey as RGB %v", p[0].Probabilities, p[1].Probabilities)
	}
	if len(p[0].Top) != 5 || p[0].Top[0].Label == "" {
		t.Errorf("top %+v", p[0].Top)
	}
}

func TestImageFaults(t *testing.T) {
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 3, H: 16, W: 12}, 3), 1, tinyOptions()), Options{})
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, picture(16, 16, 1), nil); err != nil {
		t.Fatal(err)
	}
	broken := saved(t, "broken.jpg", encoded.Bytes()[:encoded.Len()/2])
	for name, tc := range map[string]struct {
		image Image
		is    error
		text  string
	}{
		"missing": {FromFile(broken + ".missing"), fs.ErrNotExist, "broken.jpg.missing"},
		"broken":  {FromFile(broken), ErrImage, broken},
		"text":    {FromBytes([]byte("hello")), ErrImage, "hello"},
		"zero":    {Image{}, ErrImage, "empty"},
		"no area": {FromImage(image.NewNRGBA(image.Rectangle{})), ErrImage, "0x0"},
		"huge":    {FromImage(image.NewUniform(image.Black)), ErrImage, "limit"},
	} {
		_, err := m.Predict(context.Background(), FromImage(picture(4, 4, 1)), tc.image)
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), "image 2") || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := m.Embed(context.Background(), tc.image); !errors.Is(err, tc.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Predict(context.Background()); !errors.Is(err, ErrWrongInput) {
		t.Errorf("no images: %v", err)
	}
}

func TestOpenFaults(t *testing.T) {
	needRuntime(t)
	good := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 3, H: 16, W: 12}, 3), 1, tinyOptions())
	edit := func(old, new string) []byte {
		if len(old) != len(new) || !bytes.Contains(good, []byte(old)) {
			t.Fatalf("cannot replace %q by %q", old, new)
		}
		return bytes.ReplaceAll(bytes.Clone(good), []byte(old), []byte(new))
	}
	for name, tc := range map[string]struct {
		data []byte
		is   error
	}{
		"empty":          {nil, ErrNotONNX},
		"text":           {[]byte("version https://git-lfs.github.com/spec/v1\n"), ErrNotONNX},
		"truncated":      {good[:len(good)/2], ErrNotONNX},
		"no graph":       {[]byte{0x08, 0x08}, ErrNotONNX},
		"unknown op":     {edit("Softmax", "Sofmaxx"), ErrUnsupported},
		"newer format":   {edit("\x0a\x0adml.format\x12\x011", "\x0a\x0adml.format\x12\x019"), ErrUnsupported},
		"four classes":   {edit(`["cat","dog","emu"]`, `["cat","d","e","u"]`), ErrUnsupported},
		"two classes":    {edit(`["cat","dog","emu"]`, `["cat","dog   emu"]`), ErrUnsupported},
		"wrong height":   {edit(onnxmeta.KeyHeight+"\x12\x0216", onnxmeta.KeyHeight+"\x12\x0217"), ErrUnsupported},
		"normalises":     {edit(onnxmeta.KeyNormalised+"\x12\x05false", onnxmeta.KeyNormalised+"\x12\x05 true"), ErrUnsupported},
		"broken metadat": {edit(onnxmeta.KeyHeight+"\x12\x0216", onnxmeta.KeyHeight+"\x12\x02xx"), ErrUnsupported},
	} {
		path := saved(t, "a.onnx", tc.data)
		if m, err := Open(Options{}, path); !errors.Is(err, tc.is) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v, want %v", name, m, err, tc.is)
		}
		if m, err := OpenBytes(Options{}, tc.data); !errors.Is(err, tc.is) {
			t.Errorf("%s from bytes: %v, %v, want %v", name, m, err, tc.is)
		}
	}
	if _, err := Open(Options{}, saved(t, "a", nil)+".missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Open(Options{}, t.TempDir()); !errors.Is(err, ErrNotONNX) {
		t.Errorf("folder: %v", err)
	}
	if _, err := OpenBytes(Options{Threads: -1, TopK: -1}, good); err == nil || !strings.Contains(err.Error(), "Threads") || !strings.Contains(err.Error(), "TopK") {
		t.Errorf("options: %v", err)
	}
	if ort.IsInitialized() {
		t.Error("failed openings left the environment behind")
	}
}

func FuzzCheckModel(f *testing.F) {
	net := exporttest.Network(f, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2)
	data := exporttest.Student(f, net, 1, export.Options{})
	f.Add(data)
	f.Add(data[:100])
	f.Add([]byte{0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01})
	f.Add([]byte{0x3a, 0x00, 0x3d, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkModel(bytes.NewReader(data), int64(len(data)))
		if err != nil && !errors.Is(err, ErrNotONNX) {
			t.Errorf("untyped error %v", err)
		}
	})
}

// TestCheckModelTruncated cuts a model at every place: what is left is refused
// unless the cut falls between two fields, of which metadata is the last kind.
func TestCheckModelTruncated(t *testing.T) {
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, export.Options{})
	passed := 0
	for n := range len(data) {
		err := checkModel(bytes.NewReader(data[:n]), int64(n))
		if err == nil {
			passed++
		} else if !errors.Is(err, ErrNotONNX) {
			t.Fatalf("at %d: %v", n, err)
		}
	}
	if err := checkModel(bytes.NewReader(data), int64(len(data))); err != nil || passed > 16 {
		t.Errorf("whole: %v; %d truncations passed", err, passed)
	}
}

// TestFolderForAFile gives folders where files are needed.
func TestFolderForAFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := FromFile(dir).load(t.Context(), 1<<30); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), dir) {
		t.Errorf("image: %v", err)
	}
	if _, err := Open(Options{}, dir); !errors.Is(err, ErrNotONNX) || !strings.Contains(err.Error(), dir) {
		t.Errorf("model: %v", err)
	}
}
