package dataset

import "github.com/deepmutual/dml/dataset/internal/draws"

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

// newRandom seeds a generator by a stream and counters such as epoch and index.
func newRandom(seed uint64, s stream, a, b int) draws.Source {
	h := draws.Mix(seed ^ draws.Mix(uint64(s)))
	h = draws.Mix(h ^ draws.Mix(uint64(a)+0x632be59bd9b4e019))
	h = draws.Mix(h ^ draws.Mix(uint64(b)+0x9e3779b97f4a7c15))
	var r draws.Source
	r.Seed(h)
	return r
}
