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

func TestToFloat16(t *testing.T) {
	for bits := range uint16(0x7c00) { // every finite number and the next
		low, high := FromFloat16(bits), FromFloat16(bits+1)
		if got := ToFloat16(low); got != bits {
			t.Fatalf("%g gives %#04x, want %#04x", low, got, bits)
		}
		if got := ToFloat16(-low); got != bits|0x8000 {
			t.Fatalf("%g gives %#04x, want %#04x", -low, got, bits|0x8000)
		}
		if bits == 0x7bff {
			high = 65536 // would be the next of the largest
		}
		middle := float32((float64(low) + float64(high)) / 2)
		if got, want := ToFloat16(middle), (bits+1)&^1; got != want {
			t.Fatalf("%g, between %g and %g, gives %#04x, want %#04x", middle, low, high, got, want)
		}
		if got := ToFloat16(math.Nextafter32(middle, 0)); got != bits {
			t.Fatalf("below %g: %#04x, want %#04x", middle, got, bits)
		}
		if got := ToFloat16(math.Nextafter32(middle, high)); got != bits+1 {
			t.Fatalf("above %g: %#04x, want %#04x", middle, got, bits+1)
		}
	}
	for v, want := range map[float32]uint16{math.MaxFloat32: 0x7c00, -1e6: 0xfc00, float32(math.Inf(-1)): 0xfc00, 1e-30: 0} {
		if got := ToFloat16(v); got != want {
			t.Errorf("%g gives %#04x, want %#04x", v, got, want)
		}
	}
	if got := FromFloat16(ToFloat16(float32(math.NaN()))); got == got {
		t.Errorf("not a number gives %g", got)
	}
}
