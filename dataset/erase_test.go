package dataset_test

import (
	"math"
	"slices"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// TestEraseStatistics draws from an image so large that roundings do not
// matter, with areas so small that no rectangle is rejected.
func TestEraseStatistics(t *testing.T) {
	e := dataset.Erase{Probability: 0.3, MaxArea: 0.2}
	const width, height = 3000, 3000
	var hit, areas, aspects, xs, ys []float64
	for i := range 40000 {
		p := e.Part(width, height, dataset.SampleKey{Seed: 3, Index: i})
		if p == (dataset.Rect{}) {
			hit = append(hit, 0)
			continue
		}
		hit = append(hit, 1)
		if p.X < 0 || p.Y < 0 || p.Width < 1 || p.Height < 1 || p.X+p.Width > width || p.Y+p.Height > height {
			t.Fatalf("rectangle %+v is not within the image", p)
		}
		area, aspect := float64(p.Width)*float64(p.Height)/(width*height), float64(p.Height)/float64(p.Width)
		if area < 0.0199 || area > 0.2001 || aspect < 0.299 || aspect > 3.345 {
			t.Fatalf("rectangle %+v has the area %v and aspect %v", p, area, aspect)
		}
		areas, aspects = append(areas, area), append(aspects, aspect)
		xs, ys = append(xs, float64(p.X)/float64(width-p.Width)), append(ys, float64(p.Y)/float64(height-p.Height))
	}
	uniform := func(low, high float64) float64 { return (high - low) / math.Sqrt(12) }
	near(t, "probability", hit, 0.3, math.Sqrt(0.3*0.7))
	near(t, "area", areas, 0.11, uniform(0.02, 0.2))
	near(t, "aspect", aspects, (0.3+1/0.3)/2, uniform(0.3, 1/0.3))
	near(t, "place across", xs, 0.5, uniform(0, 1))
	near(t, "place down", ys, 0.5, uniform(0, 1))
}

// TestEraseApply compares with a loop over all samples.
func TestEraseApply(t *testing.T) {
	a := dataset.Augment{Erase: dataset.Erase{Probability: 0.5, Fill: [3]uint8{7, 8, 9}}}
	erased := 0
	for _, channels := range []int{1, 3} {
		m, _ := datatest.Random(t, 1, 1, dataset.Shape{Channels: channels, Height: 20, Width: 9}, 5).Image(0)
		before := slices.Clone(m.Pix)
		for i := range 500 {
			key := dataset.SampleKey{Seed: 1, Index: i}
			p := a.Erase.Part(m.Width, m.Height, key)
			if p.Width >= m.Width || p.Height >= m.Height {
				t.Fatalf("rectangle %+v of an image of %dx%d", p, m.Width, m.Height)
			}
			want := slices.Clone(m.Pix)
			for at := range want {
				x, y := at/channels%m.Width, at/channels/m.Width
				if x >= p.X && x < p.X+p.Width && y >= p.Y && y < p.Y+p.Height {
					want[at] = uint8(7 + at%channels)
					erased++
				}
			}
			if got := a.Apply(nil, m, key); !slices.Equal(got.Pix, want) {
				t.Fatalf("rectangle %+v: other samples were erased", p)
			}
		}
		if !slices.Equal(m.Pix, before) {
			t.Error("the source was changed")
		}
	}
	if erased == 0 {
		t.Error("nothing was erased")
	}
	// In an image of one column no rectangle is narrower than the image.
	one := dataset.Image{Width: 1, Height: 3, Channels: 1, Pix: []uint8{1, 2, 3}}
	if got := (dataset.Augment{Erase: dataset.Erase{Probability: 1}}).Apply(nil, one, dataset.SampleKey{}); !slices.Equal(got.Pix, []uint8{1, 2, 3}) {
		t.Errorf("a column became %v", got.Pix)
	}
}

// TestLoaderErasesToTheMean: what is erased is, normalised, 0 within half an
// 8-bit step.
func TestLoaderErasesToTheMean(t *testing.T) {
	opts := dataset.LoaderOptions{
		Batch: 10, Shape: dataset.Shape{Channels: 3, Height: 9, Width: 9},
		Norm:    dataset.Norm{Mean: []float32{.25, .5, .85}, Std: []float32{.2, .3, .4}},
		Augment: dataset.Augment{Erase: dataset.Erase{Probability: 0.6}},
	}
	// White images, of which nothing is near the mean.
	pix := slices.Repeat([]uint8{255}, 10*opts.Shape.Size())
	ds, err := dataset.NewMemory("white", []string{"a"}, opts.Shape, pix, make([]int, 10))
	if err != nil {
		t.Fatal(err)
	}
	b := collect(t, newLoader(t, ds, opts), 0, 0)[0]
	near0, want := 0, 0
	for i := range 10 {
		p := opts.Augment.Erase.Part(9, 9, dataset.SampleKey{Index: i})
		want += 3 * p.Width * p.Height
	}
	for i, v := range b.Images {
		if math.Abs(float64(v)) <= 0.5/255/float64(opts.Norm.Std[i/81%3])+1e-6 {
			near0++
		}
	}
	if near0 != want || want == 0 {
		t.Errorf("%d values are the mean, want %d", near0, want)
	}
}
