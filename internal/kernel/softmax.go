package kernel

import "math"

// Softmax sets each row of dst to the softmax of that row of logits, both
// [rows, cols]. They may be the same slice.
func Softmax(dst, logits []float32, rows, cols int) {
	for r := range rows {
		x, y := logits[r*cols:(r+1)*cols], dst[r*cols:(r+1)*cols]
		peak, sum := shifted(x)
		for i, v := range x {
			y[i] = float32(math.Exp(float64(v)-peak) / sum)
		}
	}
}

// LogSoftmax sets each row of dst to the logarithm of its softmax.
func LogSoftmax(dst, logits []float32, rows, cols int) {
	for r := range rows {
		x, y := logits[r*cols:(r+1)*cols], dst[r*cols:(r+1)*cols]
		peak, sum := shifted(x)
		shift := peak + math.Log(sum)
		for i, v := range x {
			y[i] = float32(float64(v) - shift)
		}
	}
}

// shifted returns the largest value and the sum of exp(x - largest).
func shifted(x []float32) (peak, sum float64) {
	peak = math.Inf(-1)
	for _, v := range x {
		peak = max(peak, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - peak)
	}
	return peak, sum
}

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
