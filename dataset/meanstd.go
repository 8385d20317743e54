package dataset

import (
	"errors"
	"fmt"
	"math"

	"github.com/deepmutual/dml/internal/pixels"
)

// ErrConstant says that images have nothing to tell them apart by.
var ErrConstant = errors.New("the images are all the same")

// MeanStd estimates the Norm that gives ds mean 0 and standard deviation 1 in
// each of channels (1 or 3), from at most limit images at even steps through
// ds (all of them where limit is 0). Each pixel counts once, at the size its
// image is stored in. A channel that never changes has no such Norm: an error
// that wraps ErrConstant.
func MeanStd(ds Dataset, channels, limit int) (Norm, error) {
	if channels != 1 && channels != 3 {
		return Norm{}, fmt.Errorf("%s: mean and std of %d channels: want 1 (grey) or 3 (RGB)", ds.Name(), channels)
	}
	if ds.Len() == 0 || limit < 0 {
		return Norm{}, fmt.Errorf("%s: mean and std of %d samples with limit %d", ds.Name(), ds.Len(), limit)
	}
	n := ds.Len()
	if limit > 0 {
		n = min(n, limit)
	}
	// Integer histograms make the result exact whatever the order.
	histograms := make([][256]uint64, channels)
	for k := range n {
		m, err := ds.Image(k * ds.Len() / n)
		if err != nil {
			return Norm{}, err
		}
		m = Image(pixels.Convert(pixels.Image(m), channels))
		for i, v := range m.Pix {
			histograms[i%channels][v]++
		}
	}
	norm := Norm{Mean: make([]float32, channels), Std: make([]float32, channels)}
	for c := range histograms {
		mean, std := moments(&histograms[c])
		if std == 0 {
			return Norm{}, fmt.Errorf("%s: %w: channel %d has the value %.0f of 255 in every pixel; check that the files hold the right images",
				ds.Name(), ErrConstant, c, 255*mean)
		}
		norm.Mean[c], norm.Std[c] = float32(mean), float32(std)
	}
	return norm, nil
}

// moments returns the mean and population standard deviation in 0..1.
func moments(histogram *[256]uint64) (mean, std float64) {
	var count, sum float64
	for v, n := range histogram {
		count += float64(n)
		sum += float64(n) * float64(v)
	}
	mean = sum / count
	var squares float64
	for v, n := range histogram {
		d := float64(v) - mean
		squares += float64(n) * d * d
	}
	return mean / 255, math.Sqrt(squares/count) / 255
}
