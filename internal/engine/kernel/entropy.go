package kernel

import "math"

// Entropy returns the mean over rows of -sum p log p in nats, p [rows, cols].
func Entropy(p []float32, cols int) float64 {
	if len(p) == 0 {
		return 0
	}
	var sum float64
	for _, v := range p {
		if v > 0 { // 0 log 0 is 0
			sum -= float64(v) * math.Log(float64(v))
		}
	}
	return sum / float64(len(p)/cols)
}
