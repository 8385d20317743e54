package retrieval

import (
	"image"
	"math"
	"slices"
	"testing"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/infer/infertest"
	"github.com/deepmutual/dml/reid"
)

// What package infer makes fits package reid, though neither knows the other.
var (
	_ reid.Embedder = (*infer.Model)(nil)
	_ reid.Embedder = (*infertest.Fake)(nil)
)

// TestEmbedImages asks each for the features of decoded images, which are those
// of Embed.
func TestEmbedImages(t *testing.T) {
	model := func() *infertest.Fake {
		return must(infertest.New(infertest.Options{Features: 5}))
	}
	several := must(infer.New(infer.Options{}, model().Backend(), model().Backend()))
	joined := must(infer.New(infer.Options{Join: &infer.Joining{}}, model().Backend()))
	img := image.NewGray(image.Rect(0, 0, 9, 7))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 40)
	}
	for name, p := range map[string]*infer.Model{"fake": model().Model, "several": several, "joined": joined} {
		want := must(p.Embed(t.Context(), infer.FromImage(img)))
		got, err := p.EmbedImages(t.Context(), img, img)
		if err != nil || len(got) != 2 || !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[0]) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
		var length float64
		for _, v := range want[0] {
			length += float64(v) * float64(v)
		}
		if math.Abs(length-1) > 1e-5 {
			t.Errorf("%s: features of squared length %v", name, length)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
