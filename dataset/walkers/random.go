package walkers

import (
	"math"
	"math/bits"
	"math/rand/v2"
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

// random is a generator with draws of its own, because math/rand/v2 fixes
// PCG's output for good but not how its methods derive from it.
type random struct{ pcg rand.PCG }

func newRandom(seed uint64, s stream, key ...int) *random {
	h := mix(seed ^ mix(uint64(s)))
	for _, k := range key {
		h = mix(h ^ mix(uint64(k)+0x632be59bd9b4e019))
	}
	r := new(random)
	r.pcg.Seed(h, mix(h))
	return r
}

// mix is the SplitMix64 step (Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// intn draws from 0..n-1.
func (r *random) intn(n int) int {
	hi, _ := bits.Mul64(r.pcg.Uint64(), uint64(n))
	return int(hi)
}

// float draws from [0, 1).
func (r *random) float() float64 { return float64(r.pcg.Uint64()>>11) / (1 << 53) }

// between draws from [low, high).
func (r *random) between(low, high float64) float64 { return low + r.float()*(high-low) }

// bell draws from (-3, 3) with mean 0 and variance 1: nearly a normal
// distribution, without its tails.
func (r *random) bell() float64 {
	x := -6.0
	for range 12 {
		x += r.float()
	}
	return min(max(x, -3), 3)
}

// grain draws from (-3.5, 3.5) with mean 0 and variance 1, as bell from one draw
// of four numbers.
func (r *random) grain() float64 {
	x := r.pcg.Uint64()
	sum := x&0xffff + x>>16&0xffff + x>>32&0xffff + x>>48
	return (float64(sum)/(4*0xffff) - 0.5) * 2 * math.Sqrt(12)
}

func (r *random) chance(p float64) bool { return r.float() < p }

// pick draws an index with the probability of its weight.
func (r *random) pick(weights ...float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	x := r.float() * sum
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return len(weights) - 1
}
