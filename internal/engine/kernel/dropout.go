package kernel

// The mask of a dropout is a pure function of a key, the sample and the place
// of a value in the sample's [C, H, W]: it needs no memory, every layout and
// backend drops the same values, and a value's fate does not depend on how
// large the batch is. This file is its definition; native backends repeat it.

// MaskKey mixes what tells one mask from another: the student's seed, the name
// of the layer and the training step.
func MaskKey(seed uint64, layer string, step uint64) uint64 {
	const offset, prime = 0xcbf29ce484222325, 0x100000001b3 // FNV-1a
	name := uint64(offset)
	for i := range len(layer) {
		name = (name ^ uint64(layer[i])) * prime
	}
	return splitMix(splitMix(splitMix(seed)^name) ^ step)
}

// SampleKey returns the key of sample n of a batch.
func SampleKey(key uint64, n int) uint64 { return splitMix(key ^ uint64(n)) }

// splitMix is one step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a
// bijection that leaves no trace of near inputs in its outputs.
func splitMix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// MaskBits returns 32 random bits for value i, counted in the order of
// [C, H, W], of the sample with that key: the "lowbias32" integer hash
// (Wellons, 2018) with half of the key before each multiplication, which
// vectorises in 32-bit lanes.
func MaskBits(sampleKey uint64, i uint32) uint32 {
	x := i ^ uint32(sampleKey)
	x = (x ^ x>>16) * 0x7feb352d
	x ^= uint32(sampleKey >> 32)
	x = (x ^ x>>15) * 0x846ca68b
	return x ^ x>>16
}

// Threshold returns the least MaskBits of a value that is kept.
func (s DropoutSpec) Threshold() uint32 { return uint32(float64(s.Rate) * (1 << 32)) }

// Scale returns the factor of the values that are kept.
func (s DropoutSpec) Scale() float32 { return float32(1 / (1 - float64(s.Rate))) }
