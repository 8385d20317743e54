package models

import (
	"strings"
	"testing"
)

// TestSameUpper compares with what the words say: of all paddings that give
// ceil(input/stride) positions the smallest, the odd one at the end.
func TestSameUpper(t *testing.T) {
	for size := 1; size <= 12; size++ {
		for kernel := 1; kernel <= 5; kernel++ {
			for stride := 1; stride <= 5; stride++ {
				for dilation := 1; dilation <= 3; dilation++ {
					c := Conv{Out: 1, Kernel: [2]int{kernel, 1}, Stride: [2]int{stride, 1}, Dilation: [2]int{dilation, 1}, Groups: 1, Padding: SameUpper}
					in := Shape{C: 1, H: size, W: 3}
					want := 0
					for positions := 0; positions != (size+stride-1)/stride; want++ {
						positions = 0
						for at := 0; at+(kernel-1)*dilation < size+want; at += stride {
							positions++
						}
						if positions == (size+stride-1)/stride {
							break
						}
					}
					if got := c.PadFor(in); got != (Pad{Top: want / 2, Bottom: want - want/2}) {
						t.Fatalf("size %d, kernel %d, stride %d, dilation %d: %+v, want %d in all", size, kernel, stride, dilation, got, want)
					}
					l := Layer{Name: "x", Kind: KindConv, Inputs: []string{InputName}, Conv: &c}
					out, err := l.infer(map[string]Shape{InputName: in})
					if want := (Shape{C: 1, H: (size + stride - 1) / stride, W: 3}); err != nil || out != want {
						t.Fatalf("size %d, kernel %d, stride %d, dilation %d: %v, %v, want %v", size, kernel, stride, dilation, out, err, want)
					}
				}
			}
		}
	}
}

func TestPaddingFaults(t *testing.T) {
	for want, window := range map[string]Pool{
		"padding \"same_lower\" is unknown; use \"same_upper\"": {Kernel: Square(3), Padding: "same_lower"},
		"give one of them": {Kernel: Square(3), Padding: SameUpper, Pad: Pad{Top: 1}},
	} {
		b := NewBuilder("bad", Shape{C: 3, H: 8, W: 8}, 3)
		x := b.GlobalAvgPool("mean", b.AvgPool("pool", b.Input(), window))
		if _, err := b.Build(x, x); err == nil || !strings.Contains(err.Error(), `"pool"`) || !strings.Contains(err.Error(), want) {
			t.Errorf("pooling: got %v, want %q", err, want)
		}
		b = NewBuilder("bad", Shape{C: 3, H: 8, W: 8}, 3)
		x = b.Conv("conv", b.Input(), Conv{Out: 3, Kernel: window.Kernel, Padding: window.Padding, Pad: window.Pad})
		x = b.GlobalAvgPool("mean", x)
		if _, err := b.Build(x, x); err == nil || !strings.Contains(err.Error(), `"conv"`) || !strings.Contains(err.Error(), want) {
			t.Errorf("convolution: got %v, want %q", err, want)
		}
	}
}
