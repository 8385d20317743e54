package dataset_test

import (
	"math"
	"slices"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/internal/pixels"
)

// near fails where a mean of n draws is further from what it should be than
// five standard errors.
func near(t *testing.T, name string, values []float64, want, deviation float64) {
	t.Helper()
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	mean, within := sum/float64(len(values)), 5*deviation/math.Sqrt(float64(len(values)))
	if math.Abs(mean-want) > within {
		t.Errorf("%s: mean %.5f of %d, want %.5f within %.5f", name, mean, len(values), want, within)
	}
}

// TestResizedCropStatistics draws from an image so large that roundings and
// rejected parts do not matter.
func TestResizedCropStatistics(t *testing.T) {
	c := dataset.ResizedCrop{MinScale: 0.1, MaxScale: 0.5}
	const width, height = 4000, 3000
	var areas, ratios, xs, ys []float64
	for i := range 20000 {
		p := c.Part(width, height, dataset.SampleKey{Seed: 3, Index: i})
		if p.X < 0 || p.Y < 0 || p.Width < 1 || p.Height < 1 || p.X+p.Width > width || p.Y+p.Height > height {
			t.Fatalf("part %+v is not within the image", p)
		}
		area := float64(p.Width) * float64(p.Height) / (width * height)
		ratio := float64(p.Width) / float64(p.Height)
		if area < 0.0995 || area > 0.5005 || ratio < 0.7485 || ratio > 1.3353 {
			t.Fatalf("part %+v has the area %v and ratio %v", p, area, ratio)
		}
		areas, ratios = append(areas, area), append(ratios, math.Log(ratio))
		xs, ys = append(xs, float64(p.X)/float64(width-p.Width)), append(ys, float64(p.Y)/float64(height-p.Height))
	}
	uniform := func(low, high float64) float64 { return (high - low) / math.Sqrt(12) }
	near(t, "area", areas, 0.3, uniform(0.1, 0.5))
	near(t, "log of ratio", ratios, 0, uniform(math.Log(3.0/4), math.Log(4.0/3)))
	near(t, "place across", xs, 0.5, uniform(0, 1))
	near(t, "place down", ys, 0.5, uniform(0, 1))
	for name, values := range map[string][]float64{"area": areas, "across": xs} { // uniform, not only centred
		low, high := slices.Min(values), slices.Max(values)
		count := 0
		for _, v := range values {
			if v < low+(high-low)/4 {
				count++
			}
		}
		if count < 4700 || count > 5300 {
			t.Errorf("%s: %d of 20000 in the lowest quarter", name, count)
		}
	}
}

func TestResizedCropFallsBackToTheMiddle(t *testing.T) {
	for _, tt := range []struct {
		width, height int
		want          dataset.Rect
	}{
		{10, 1000, dataset.Rect{X: 0, Y: 493, Width: 10, Height: 13}},
		{1000, 10, dataset.Rect{X: 493, Y: 0, Width: 13, Height: 10}},
		{1, 1, dataset.Rect{Width: 1, Height: 1}},
	} {
		if got := (dataset.ResizedCrop{MinScale: 0.9}).Part(tt.width, tt.height, dataset.SampleKey{}); got != tt.want {
			t.Errorf("%dx%d: part %+v, want %+v", tt.width, tt.height, got, tt.want)
		}
	}
	if got := (dataset.ResizedCrop{}).Part(7, 5, dataset.SampleKey{}); got != (dataset.Rect{Width: 7, Height: 5}) {
		t.Errorf("without a crop the part is %+v", got)
	}
}

// TestLoaderResizedCrop does by hand what the loader does: crop, scale, the
// other changes, normalise.
func TestLoaderResizedCrop(t *testing.T) {
	opts := training(4, 3)
	opts.Augment.ResizedCrop = dataset.ResizedCrop{MinScale: 0.2}
	opts.Augment.Jitter = dataset.Jitter{Brightness: 0.3, Hue: 0.1}
	opts.Augment.Erase = dataset.Erase{Probability: 0.7}
	opts.Cache = dataset.NewCache(1 << 20)
	ds := datatest.Random(t, 20, 3, dataset.Shape{Channels: 1, Height: 30, Width: 20}, 1)
	norm, err := pixels.NewNormalizer(pixels.Norm(opts.Norm), 3)
	if err != nil {
		t.Fatal(err)
	}
	parts := make(map[dataset.Rect]bool)
	for _, b := range collect(t, newLoader(t, ds, opts), 5, 0) {
		for k, i := range b.Indices {
			key := dataset.SampleKey{Seed: 9, Epoch: 5, Index: i}
			m, _ := ds.Image(i)
			part := opts.Augment.ResizedCrop.Part(20, 30, key)
			parts[part] = true
			cut := dataset.Image{Width: part.Width, Height: part.Height, Channels: 1}
			for y := range part.Height {
				from := (part.Y+y)*m.Width + part.X
				cut.Pix = append(cut.Pix, m.Pix[from:from+part.Width]...)
			}
			want := make([]float32, 3*8*8)
			augment := opts.Augment
			augment.Erase.Fill = [3]uint8{128, 102, 77} // the mean
			if err := norm.Apply(want, pixels.Image(augment.Apply(nil, dataset.Image(pixels.Fit(pixels.Image(cut), 3, 8, 8)), key))); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(b.Images[k*len(want):(k+1)*len(want)], want) {
				t.Errorf("sample %d differs from the plain loop's", i)
			}
		}
	}
	if len(parts) < 15 {
		t.Errorf("20 samples gave %d parts", len(parts))
	}
}

func TestAugmentValidateReportsAll(t *testing.T) {
	shape := dataset.Shape{Channels: 3, Height: 8, Width: 8}
	nan := math.NaN()
	for _, bad := range []dataset.Augment{
		{ResizedCrop: dataset.ResizedCrop{MinScale: -0.1}}, {ResizedCrop: dataset.ResizedCrop{MinScale: 0.5, MaxScale: 0.4}},
		{ResizedCrop: dataset.ResizedCrop{MinScale: 0.5, MaxScale: 1.1}}, {ResizedCrop: dataset.ResizedCrop{MaxScale: 1}},
		{ResizedCrop: dataset.ResizedCrop{MinScale: nan}}, {ResizedCrop: dataset.ResizedCrop{MinScale: 0.5, MinRatio: 2}},
		{ResizedCrop: dataset.ResizedCrop{MinScale: 0.5, MaxRatio: math.Inf(1)}},
		{Erase: dataset.Erase{Probability: 1.1}}, {Erase: dataset.Erase{Probability: nan}}, {Erase: dataset.Erase{MinArea: 0.1}},
		{Erase: dataset.Erase{Probability: 0.5, MinArea: 0.5}}, {Erase: dataset.Erase{Probability: 0.5, MaxArea: 2}},
		{Erase: dataset.Erase{Probability: 0.5, MinAspect: 2}}, {Erase: dataset.Erase{Probability: 0.5, MaxAspect: math.Inf(1)}},
		{Jitter: dataset.Jitter{Brightness: -1}}, {Jitter: dataset.Jitter{Hue: 0.6}}, {Jitter: dataset.Jitter{Contrast: nan}},
		{Jitter: dataset.Jitter{Saturation: math.Inf(1)}},
	} {
		if bad.Validate(shape) == nil {
			t.Errorf("%+v passed", bad)
		}
	}
	good := dataset.Augment{
		ResizedCrop: dataset.ResizedCrop{MinScale: 0.08}, Erase: dataset.Erase{Probability: 1},
		Jitter: dataset.Jitter{Brightness: 2, Contrast: 1, Saturation: 0.1, Hue: 0.5},
	}
	if err := good.Validate(shape); err != nil {
		t.Error(err)
	}
}

// TestPartsGolden pins the draws of the crop and of erasing: a change would
// silently break resuming runs started by an earlier version.
func TestPartsGolden(t *testing.T) {
	var got []dataset.Rect
	for i := range 3 {
		key := dataset.SampleKey{Seed: 42, Epoch: 3, Index: i, View: i / 2}
		got = append(got, dataset.ResizedCrop{MinScale: 0.08}.Part(500, 375, key), dataset.Erase{Probability: 0.9}.Part(64, 160, key))
	}
	want := []dataset.Rect{
		{X: 0, Y: 1, Width: 466, Height: 372}, {X: 11, Y: 55, Width: 21, Height: 63},
		{X: 157, Y: 1, Width: 285, Height: 321}, {X: 8, Y: 4, Width: 49, Height: 60},
		{X: 102, Y: 9, Width: 302, Height: 310}, {X: 3, Y: 18, Width: 35, Height: 102},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
