// Package draws makes random numbers that one seed fixes for good: math/rand/v2
// promises PCG's output, but not how its methods derive other draws from it.
package draws

import (
	"math/bits"
	"math/rand/v2"
)

// Source is a generator that may live on the stack. Seed it first.
type Source struct{ pcg rand.PCG }

// Seed starts the sequence of h, which should come from Mix.
func (s *Source) Seed(h uint64) { s.pcg.Seed(h, Mix(h)) }

// Mix is the SplitMix64 step (Steele, Lea and Flood, OOPSLA 2014): a bijection
// whose output bits each depend on every input bit.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64 draws 64 bits.
func (s *Source) Uint64() uint64 { return s.pcg.Uint64() }

// IntN draws from 0..n-1, with a bias below n/2^64.
func (s *Source) IntN(n int) int {
	hi, _ := bits.Mul64(s.pcg.Uint64(), uint64(n))
	return int(hi)
}

// Float64 draws from [0, 1).
func (s *Source) Float64() float64 { return float64(s.pcg.Uint64()>>11) / (1 << 53) }

// Between draws from [low, high).
func (s *Source) Between(low, high float64) float64 { return low + s.Float64()*(high-low) }

// Shuffle puts a slice into random order.
func Shuffle[T any](s *Source, slice []T) {
	for i := len(slice) - 1; i > 0; i-- {
		j := s.IntN(i + 1)
		slice[i], slice[j] = slice[j], slice[i]
	}
}
