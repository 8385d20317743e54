package train

import "math"

// Scores are means over a set of samples.
type Scores struct {
	// Accuracy is the fraction of samples whose most probable class is right
	// (the first of equals).
	Accuracy float64 `json:"accuracy"`
	// NLL is the mean negative log-likelihood of the right class, in nats.
	NLL float64 `json:"nll"`
	// Entropy is the mean entropy of the posteriors, in nats.
	Entropy float64 `json:"entropy"`
	// OneClass says that all samples, of two classes or more, were taken for
	// the same class.
	OneClass bool `json:"one_class,omitempty"`
}

// Better tells whether s is better than other: more accurate or, as a few
// validation images often tie, as accurate at a lower NLL. What is called best,
// an epoch, a checkpoint or a student, is best by it.
func (s Scores) Better(other Scores) bool {
	if s.Accuracy != other.Accuracy {
		return s.Accuracy > other.Accuracy
	}
	return s.NLL < other.NLL
}

// Tally gathers scores batch by batch. The zero value is empty.
type Tally struct {
	samples, correct int
	nll, entropy     float64

	predicted, label int  // of the first sample
	varied, mixed    bool // whether another sample differs in prediction, in label
}

// tiny bounds probabilities from below, so that a certain and wrong answer
// costs a finite amount.
const tiny = 1e-30

// Add counts samples: probabilities is [len(labels), classes].
func (t *Tally) Add(probabilities []float32, labels []int32) {
	if len(labels) == 0 {
		return
	}
	classes := len(probabilities) / len(labels)
	for i, label := range labels {
		row := probabilities[i*classes : (i+1)*classes]
		predicted := argmax(row)
		if predicted == int(label) {
			t.correct++
		}
		if t.samples+i == 0 {
			t.predicted, t.label = predicted, int(label)
		}
		t.varied = t.varied || predicted != t.predicted
		t.mixed = t.mixed || int(label) != t.label
		t.nll -= math.Log(max(float64(row[label]), tiny))
		for _, p := range row {
			if p > 0 { // 0 log 0 is 0
				t.entropy -= float64(p) * math.Log(float64(p))
			}
		}
	}
	t.samples += len(labels)
}

// Scores returns the means; of no samples, zeros.
func (t *Tally) Scores() Scores {
	if t.samples == 0 {
		return Scores{}
	}
	n := float64(t.samples)
	return Scores{Accuracy: float64(t.correct) / n, NLL: t.nll / n, Entropy: t.entropy / n, OneClass: t.mixed && !t.varied}
}

// argmax returns the index of the largest value, the first of equals.
func argmax(v []float32) int {
	best := 0
	for i := range v {
		if v[i] > v[best] {
			best = i
		}
	}
	return best
}

// mean sets dst to the mean of equally long vectors: the ensemble of
// posteriors.
func mean(dst []float32, of ...[]float32) {
	for i := range dst {
		var sum float64
		for _, v := range of {
			sum += float64(v[i])
		}
		dst[i] = float32(sum / float64(len(of)))
	}
}
