package walkers

import (
	"math"

	"github.com/deepmutual/dml/dataset/internal/draws"
)

// stream tells apart what is drawn at random, so that a further draw in one
// leaves the others as they were. The values are part of what a seed means:
// never renumber them.
type stream uint64

const (
	streamPerson stream = 1 + iota
	streamCamera
	streamTexture
	streamPose
	streamBox
	streamHide
	streamSensor
	streamJunk
	streamStranger
)

// random adds the draws of this package to a generator.
type random struct{ draws.Source }

func newRandom(seed uint64, s stream, key ...int) *random {
	h := draws.Mix(seed ^ draws.Mix(uint64(s)))
	for _, k := range key {
		h = draws.Mix(h ^ draws.Mix(uint64(k)+0x632be59bd9b4e019))
	}
	r := new(random)
	r.Seed(h)
	return r
}

// bell draws from (-3, 3) with mean 0 and variance 1: nearly a normal
// distribution, without its tails.
func (r *random) bell() float64 {
	x := -6.0
	for range 12 {
		x += r.Float64()
	}
	return min(max(x, -3), 3)
}

// grain draws from (-3.5, 3.5) with mean 0 and variance 1, as bell from one draw
// of four numbers.
func (r *random) grain() float64 {
	x := r.Uint64()
	sum := x&0xffff + x>>16&0xffff + x>>32&0xffff + x>>48
	return (float64(sum)/(4*0xffff) - 0.5) * 2 * math.Sqrt(12)
}

func (r *random) chance(p float64) bool { return r.Float64() < p }

// pick draws an index with the probability of its weight.
func (r *random) pick(weights ...float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	x := r.Float64() * sum
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return len(weights) - 1
}
