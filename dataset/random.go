package dataset

import (
	"math/bits"
	"math/rand/v2"
)

// stream tells apart the uses of randomness, so that switching one on leaves
// the draws of the others as they were. The values are part of what makes a
// run reproducible: never renumber them.
type stream uint64

const (
	streamOrder stream = 1 + iota
	streamSplit
	streamLimit
	streamFlip
	streamCrop
	streamResizedCrop
	streamJitter
	streamErase
)

// random is a generator on the stack. It keeps its own bounded draw, because
// math/rand/v2 fixes PCG's output for good but not how IntN derives from it.
type random struct{ pcg rand.PCG }

// newRandom seeds a generator by a stream and counters such as epoch and index.
func newRandom(seed uint64, s stream, a, b int) random {
	h := mix(seed ^ mix(uint64(s)))
	h = mix(h ^ mix(uint64(a)+0x632be59bd9b4e019))
	h = mix(h ^ mix(uint64(b)+0x9e3779b97f4a7c15))
	var r random
	r.pcg.Seed(h, mix(h))
	return r
}

// mix is the SplitMix64 step (Steele, Lea and Flood, OOPSLA 2014): a bijection
// whose output bits each depend on every input bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// intn draws from 0..n-1, with a bias below n/2^64.
func (r *random) intn(n int) int {
	hi, _ := bits.Mul64(r.pcg.Uint64(), uint64(n))
	return int(hi)
}

// float draws from [0, 1).
func (r *random) float() float64 { return float64(r.pcg.Uint64()>>11) / (1 << 53) }

// between draws from [low, high).
func (r *random) between(low, high float64) float64 { return low + r.float()*(high-low) }

func (r *random) shuffle(s []int) {
	for i := len(s) - 1; i > 0; i-- {
		j := r.intn(i + 1)
		s[i], s[j] = s[j], s[i]
	}
}
