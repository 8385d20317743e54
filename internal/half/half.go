// Package half converts 16-bit floating-point numbers, as files of weights hold
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

// ToFloat16 returns the IEEE 754 binary16 bits nearest to v, of two equally near
// those with the even fraction. What is too large becomes infinite.
func ToFloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	sign, magnitude := uint16(bits>>16)&0x8000, bits&0x7fffffff
	switch {
	case magnitude > 0x7f800000: // not a number; a quiet one
		return sign | 0x7e00
	case magnitude >= 0x47800000: // 65536 and more
		return sign | 0x7c00
	case magnitude < 0x38800000: // below 2^-14: subnormal, or zero
		scaled := math.RoundToEven(math.Abs(float64(v)) * (1 << 24))
		return sign | uint16(scaled)
	}
	// Rounding may carry into the exponent, and from the largest to infinity,
	// as it should.
	rebiased := magnitude - (127-15)<<23
	rounded := rebiased + 0xfff + rebiased>>13&1
	return sign | uint16(rounded>>13)
}
