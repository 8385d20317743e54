//go:build cgo

package verify

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/models"
)

var mean, std = []float32{0.5, 0.25, 0.4}, []float32{0.2, 0.3, 0.25}

// photographs returns n samples of pixels, [n, height, width, channels], and the
// same normalised, [n, channels, height, width].
func photographs(n int, in models.Shape) (pixels []uint8, normalised []float32) {
	normalised = make([]float32, n*in.Size())
	for i := range n {
		for y := range in.H {
			for x := range in.W {
				for c := range in.C {
					v := uint8(i*41 + y*y*7 + x*13 + c*c*29 + x*y)
					pixels = append(pixels, v)
					normalised[i*in.Size()+(c*in.H+y)*in.W+x] = (float32(v)/255 - mean[c]) / std[c]
				}
			}
		}
	}
	return pixels, normalised
}

// expected is what the outputs of one network must hold, by the definition of
// its layers.
func expected(t *testing.T, net *models.Network, w models.Weights, n int, normalised []float32) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{}
	add := func(name string, values []float64) {
		for _, v := range values {
			out[name] = append(out[name], float32(v))
		}
	}
	for i := range n {
		logits, embedding := forward(t, net, w, normalised[i*net.Input.Size():(i+1)*net.Input.Size()])
		add(export.Logits, logits)
		add(export.Embedding, embedding)
		top := slices.Max(logits)
		probabilities, sum := make([]float64, len(logits)), 0.0
		for j, v := range logits {
			probabilities[j] = math.Exp(v - top)
			sum += probabilities[j]
		}
		for j := range probabilities {
			probabilities[j] /= sum
		}
		add(export.Probabilities, probabilities)
	}
	return out
}

// rounded returns the weights with kernels and matrices rounded to float16.
func rounded(t *testing.T, net *models.Network, w models.Weights) models.Weights {
	t.Helper()
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	out := w.Clone()
	for _, p := range params {
		for i, v := range out[p.Name] {
			if len(p.Shape) > 1 {
				out[p.Name][i] = float16.Fromfloat32(v).Float32()
			}
		}
	}
	return out
}

func network(t *testing.T, name string) *models.Network {
	t.Helper()
	net, err := models.Build(name, models.Shape{C: 3, H: 14, W: 10}, 4)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// check compares a model with the reference on normalised samples, or on pixels.
func check(t *testing.T, name string, data []byte, uint8Input bool, ref map[string][]float32, n int, pixels []uint8, normalised []float32) {
	t.Helper()
	in := Samples{N: n, Inputs: normalised}
	if uint8Input {
		in = Samples{N: n, Pixels: pixels}
	}
	if r, err := Bytes(context.Background(), data, Reference{in, ref}, Options{Tolerance: 1e-5, BatchSize: 2}); err != nil || r.Scale <= 0 {
		t.Errorf("%s: %+v, %v", name, r, err)
	}
	wrong := Samples{N: n, Inputs: normalised}
	if !uint8Input {
		wrong = Samples{N: n, Pixels: pixels}
	}
	if _, err := Bytes(context.Background(), data, Reference{wrong, ref}, Options{}); err == nil || errors.Is(err, ErrMismatch) {
		t.Errorf("%s: the wrong type of input: %v", name, err)
	}
}

// TestVariantsAgainstDefinition runs every variant of a file. Batch norms are
// kept, so that the weights which are rounded to float16 are the network's.
func TestVariantsAgainstDefinition(t *testing.T) {
	needRuntime(t)
	const n = 5
	net := network(t, "resnet8")
	w := trained(t, net, 3)
	pixels, normalised := photographs(n, net.Input)
	exact := expected(t, net, w, n, normalised)
	narrow := expected(t, net, rounded(t, net, w), n, normalised)
	for name, o := range map[string]export.Options{
		"plain":          {},
		"fixed batch":    {Batch: 3},
		"batch of 1":     {Batch: 1},
		"uint8":          {Uint8Input: true},
		"half":           {Half: true},
		"logits":         {Outputs: []string{export.Logits}},
		"probabilities":  {Outputs: []string{export.Probabilities}, Batch: 7},
		"embedding":      {Outputs: []string{export.Embedding}, Half: true},
		"two, any order": {Outputs: []string{export.Embedding, export.Logits}, Uint8Input: true},
		"all of it":      {Uint8Input: true, Half: true, Batch: 2},
	} {
		o.Mean, o.Std, o.KeepBatchNorm = mean, std, o.Half
		data, err := export.Marshal(net, w, o)
		if err != nil {
			t.Fatal(err)
		}
		all := exact
		if o.Half {
			all = narrow
		}
		ref := map[string][]float32{}
		for output, values := range all {
			if o.Outputs == nil || slices.Contains(o.Outputs, output) {
				ref[output] = values
			}
		}
		check(t, name, data, o.Uint8Input, ref, n, pixels, normalised)
	}
}

// TestCohortAgainstDefinition: one call gives what the students give one by one.
func TestCohortAgainstDefinition(t *testing.T) {
	needRuntime(t)
	const n = 4
	var students []export.Student
	ref := map[string][]float32{}
	var embeddings [][]float32
	pixels, normalised := photographs(n, network(t, "convnet").Input)
	for i, name := range []string{"resnet8", "convnet", "resnet8"} {
		net := network(t, name)
		s := export.Student{Name: name + string(rune('a'+i)), Network: net, Weights: trained(t, net, uint64(i))}
		students = append(students, s)
		own := expected(t, net, s.Weights, n, normalised)
		for _, output := range []string{export.Logits, export.Probabilities} {
			ref[export.StudentOutput(s.Name, output)] = own[output]
		}
		embeddings = append(embeddings, own[export.Embedding])
		if i == 0 {
			ref[export.Probabilities] = make([]float32, len(own[export.Probabilities]))
		}
		for j, p := range own[export.Probabilities] {
			ref[export.Probabilities][j] += p / 3
		}
	}
	for i := range n {
		var row []float32
		for _, e := range embeddings {
			row = append(row, e[i*len(e)/n:(i+1)*len(e)/n]...)
		}
		sum := 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		for _, v := range row {
			ref[export.Embedding] = append(ref[export.Embedding], v/float32(math.Sqrt(sum)))
		}
	}
	everything := export.Outputs()
	for name, o := range map[string]export.Options{
		"plain":       {Outputs: everything},
		"default":     {},
		"uint8":       {Outputs: everything, Uint8Input: true},
		"fixed batch": {Outputs: everything, Batch: 3, KeepBatchNorm: true},
		"embedding":   {Outputs: []string{export.Embedding}, Batch: 1},
	} {
		o.Mean, o.Std = mean, std
		data, err := export.MarshalCohort(students, o)
		if err != nil {
			t.Fatal(err)
		}
		want := ref
		switch name {
		case "default":
			want = map[string][]float32{}
			for output, values := range ref {
				if !strings.HasSuffix(output, export.Logits) {
					want[output] = values
				}
			}
		case "embedding":
			want = map[string][]float32{export.Embedding: ref[export.Embedding]}
		}
		check(t, name, data, o.Uint8Input, want, n, pixels, normalised)
		m, err := infer.OpenBytes(infer.Options{}, data)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Info().Outputs; len(got) != len(want) {
			t.Errorf("%s: outputs %v, want %d", name, got, len(want))
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
