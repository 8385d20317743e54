// Package half widens 16-bit floating-point numbers, as files of weights hold
// them.
package half

import "math"

// FromBFloat16 returns the value of bits that are the upper half of a float32.
func FromBFloat16(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 16) }

// FromFloat16 returns the value of IEEE 754 binary16 bits: a sign, 5 bits of
// exponent with the bias 15, 10 bits of fraction.
func FromFloat16(bits uint16) float32 {
	sign := uint32(bits>>15) << 31
	exponent, fraction := int(bits>>10)&0x1f, uint32(bits)&0x3ff
	switch exponent {
	case 0x1f: // infinite or not a number
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	case 0: // subnormal: fraction * 2^-24
		v := math.Ldexp(float64(fraction), -24)
		return math.Float32frombits(sign | math.Float32bits(float32(v)))
	}
	return math.Float32frombits(sign | uint32(exponent-15+127)<<23 | fraction<<13)
}
