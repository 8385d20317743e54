package half

import (
	"math"
	"testing"
)

func TestFromFloat16(t *testing.T) {
	for bits := range 1 << 16 {
		got := float64(FromFloat16(uint16(bits)))
		sign, exponent, fraction := 1.0, bits>>10&0x1f, float64(bits&0x3ff)
		if bits>>15 == 1 {
			sign = -1
		}
		want := sign * (1 + fraction/1024) * math.Pow(2, float64(exponent-15))
		switch {
		case exponent == 0x1f && fraction != 0:
			want = math.NaN()
		case exponent == 0x1f:
			want = math.Inf(int(sign))
		case exponent == 0:
			want = sign * fraction / 1024 * math.Pow(2, -14)
		}
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("%#04x is %g, want %g", bits, got, want)
		}
		if want == 0 && math.Signbit(got) != (sign < 0) {
			t.Fatalf("%#04x has the wrong sign", bits)
		}
	}
}

func TestFromBFloat16(t *testing.T) {
	for bits, want := range map[uint16]float32{0x3f80: 1, 0xc000: -2, 0x4049: 3.140625, 0: 0, 0x7f80: float32(math.Inf(1))} {
		if got := FromBFloat16(bits); got != want {
			t.Errorf("%#04x is %g, want %g", bits, got, want)
		}
	}
}
