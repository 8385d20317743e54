package kernel

import "testing"

// TestMaskIsFixed pins the definition: a checkpoint resumed by another version
// of the program must see the masks that it would have seen.
func TestMaskIsFixed(t *testing.T) {
	key := MaskKey(1, "drop", 2)
	sample := SampleKey(key, 3)
	if bits := MaskBits(sample, 4); key != 0x5033d62f29352f19 || sample != 0xa445686fef2c5643 || bits != 0x5b915378 {
		t.Errorf("key %#x, sample key %#x, bits %#x", key, sample, bits)
	}
	if splitMix(0) != 0xe220a8397b1dcdaf { // the generator's first output from state 0
		t.Errorf("splitMix(0) is %#x", splitMix(0))
	}
	if key == MaskKey(1, "drop", 3) || key == MaskKey(1, "drop2", 2) || key == MaskKey(2, "drop", 2) || sample == SampleKey(key, 4) {
		t.Error("different masks have one key")
	}
	if n := testing.AllocsPerRun(10, func() { _ = MaskKey(1, "drop", 2) }); n != 0 {
		t.Errorf("a key allocates %g times", n)
	}
}

func TestDropoutConstants(t *testing.T) {
	for rate, want := range map[float32]struct {
		threshold uint32
		scale     float32
	}{0.5: {1 << 31, 2}, 0.75: {3 << 30, 4}, 0.25: {1 << 30, float32(4.0 / 3)}, 1 - 1.0/(1<<24): {1<<32 - 1<<8, 1 << 24}} {
		s := DropoutSpec{Rate: rate}
		if s.Threshold() != want.threshold || s.Scale() != want.scale {
			t.Errorf("rate %g: threshold %#x, scale %g, want %#x, %g", rate, s.Threshold(), s.Scale(), want.threshold, want.scale)
		}
	}
}
