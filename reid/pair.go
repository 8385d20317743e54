package reid

import (
	"fmt"
	"math"
	"slices"
)

// Distance is how far two feature vectors are apart, computed in float64. Its
// errors wrap ErrOptions, ErrDimension or ErrNotFinite.
func Distance(metric Metric, a, b []float32) (float64, error) {
	if !slices.Contains(Metrics(), metric) {
		return 0, fmt.Errorf("%w: the metric %q is not one of %q", ErrOptions, metric, Metrics())
	}
	if len(a) != len(b) || len(a) == 0 {
		return 0, fmt.Errorf("%w: %d and %d features", ErrDimension, len(a), len(b))
	}
	var product, apart float64
	for k := range a {
		x, y := float64(a[k]), float64(b[k])
		product += x * y
		apart += (x - y) * (x - y)
	}
	if math.IsNaN(product) || math.IsInf(product, 0) || math.IsNaN(apart) || math.IsInf(apart, 0) {
		return 0, fmt.Errorf("%w: a feature is not finite", ErrNotFinite)
	}
	switch metric {
	case Cosine:
		return 1 - product*inverseLength(a)*inverseLength(b), nil
	case Euclidean:
		return math.Sqrt(apart), nil
	case Dot:
		return 1 - product, nil
	}
	panic("reid: no distance by the metric " + metric)
}
