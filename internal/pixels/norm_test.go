package pixels

import (
	"math"
	"strings"
	"testing"
)

func TestApplyAgainstFormula(t *testing.T) {
	for _, channels := range []int{1, 3} {
		norm := Norm{Mean: []float32{.4914, .4822, .4465}[:channels], Std: []float32{.2470, .2435, .2616}[:channels]}
		n, err := NewNormalizer(norm, channels)
		if err != nil {
			t.Fatal(err)
		}
		m := noise(7, 5, channels, 2)
		dst := make([]float32, len(m.Pix))
		if err := n.Apply(dst, m); err != nil {
			t.Fatal(err)
		}
		for c := range channels {
			for y := range m.Height {
				for x := range m.Width {
					pixel := float64(m.Pix[(y*m.Width+x)*channels+c])
					want := (pixel/255 - float64(norm.Mean[c])) / float64(norm.Std[c])
					got := float64(dst[(c*m.Height+y)*m.Width+x])
					if math.Abs(got-want) > 1e-6 {
						t.Fatalf("channel %d, row %d, column %d: got %v, want %v", c, y, x, got, want)
					}
				}
			}
		}
		if allocs := testing.AllocsPerRun(100, func() { _ = n.Apply(dst, m) }); allocs != 0 {
			t.Errorf("%d channels: %v allocations a call", channels, allocs)
		}
	}
}

func TestZeroNorm(t *testing.T) {
	n, err := NewNormalizer(Norm{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, 3)
	if err := n.Apply(dst, Image{Width: 3, Height: 1, Channels: 1, Pix: []uint8{0, 51, 255}}); err != nil {
		t.Fatal(err)
	}
	if dst[0] != 0 || dst[1] != float32(51)/255 || dst[2] != 1 {
		t.Errorf("got %v", dst)
	}
}

func TestNormValidate(t *testing.T) {
	nan := float32(math.NaN())
	err := Norm{Mean: []float32{nan}, Std: []float32{0, -1, 1}}.Validate(3)
	for _, want := range []string{"mean has 1 values for 3 channels", "mean of channel 0 is NaN", "std of channel 0 is 0", "std of channel 1 is -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if _, err := NewNormalizer(Norm{}, 2); err == nil {
		t.Error("2 channels passed")
	}
	if err := (Norm{Std: []float32{nan}}).Validate(1); err == nil {
		t.Error("a std of NaN passed")
	}
}

func TestApplyMismatch(t *testing.T) {
	n, err := NewNormalizer(Norm{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if n.Apply(make([]float32, 4), noise(2, 2, 1, 0)) == nil {
		t.Error("grey image passed an RGB normalisation")
	}
	if n.Apply(make([]float32, 11), noise(2, 2, 3, 0)) == nil {
		t.Error("short destination passed")
	}
}

func BenchmarkApply(b *testing.B) {
	n, err := NewNormalizer(Norm{}, 3)
	if err != nil {
		b.Fatal(err)
	}
	m := noise(32, 32, 3, 0)
	dst := make([]float32, len(m.Pix))
	b.ReportAllocs()
	for b.Loop() {
		_ = n.Apply(dst, m)
	}
}

// TestScale: ImageNet's figures in the 0..255 scale are refused, and those in the
// 0..1 scale are not.
func TestScale(t *testing.T) {
	for _, n := range []Norm{
		{Mean: []float32{123.675, 116.28, 103.53}, Std: []float32{1, 1, 1}},
		{Mean: []float32{0.485, 0.456, 0.406}, Std: []float32{58.395, 57.12, 57.375}},
		{Mean: []float32{127.5, 127.5, 127.5}},
		{Mean: []float32{0, 0, -2}},
	} {
		if err := n.Validate(3); err == nil || !strings.Contains(err.Error(), "0..1 scale") {
			t.Errorf("%v: %v", n, err)
		}
	}
	for _, n := range []Norm{
		{Mean: []float32{0.485, 0.456, 0.406}, Std: []float32{0.229, 0.224, 0.225}},
		{Mean: []float32{0.5, 0.5, 0.5}, Std: []float32{0.5, 0.5, 0.5}},
		{Std: []float32{1. / 255, 1. / 255, 1. / 255}}, // a network that wants 0..255
	} {
		if err := n.Validate(3); err != nil {
			t.Errorf("%v: %v", n, err)
		}
	}
	if err := (Norm{Mean: []float32{123.675}}).Validate(1); err == nil || !strings.Contains(err.Error(), "0.485") {
		t.Errorf("the error %v proposes no value", err)
	}
}
