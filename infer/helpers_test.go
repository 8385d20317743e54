package infer

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// needRuntime skips a test where ONNX Runtime's library is absent.
func needRuntime(t testing.TB) {
	t.Helper()
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

// saved writes bytes to a file of the test's own.
func saved(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// backendOf is what a model of one network computes with.
func backendOf(m *Model) Backend { return m.current.Load().networks[0].backend }

func openBytes(t testing.TB, data []byte, opts Options) *Model {
	t.Helper()
	needRuntime(t)
	m, err := OpenBytes(opts, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// noise returns n values around 0.
func noise(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// picture returns an RGB image of noise.
func picture(width, height int, seed uint64) *image.NRGBA {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{uint8(rng.UintN(256)), uint8(rng.UintN(256)), uint8(rng.UintN(256)), 255})
		}
	}
	return m
}

// length is the Euclidean length of v.
func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
