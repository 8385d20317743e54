package models

import "fmt"

// Padding says how the padding of a convolution or pooling follows from its
// input.
type Padding string

const (
	// PadExplicit is the zero value: the Pad field is the padding.
	PadExplicit Padding = ""
	// SameUpper pads so that the output has ceil(input/stride) rows and
	// columns; where the total is odd, the bottom and the right get one more.
	// TensorFlow calls it "SAME", ONNX SAME_UPPER. The Pad field is zero.
	SameUpper Padding = "same_upper"
)

// PadFor returns the padding of an input of that shape. The layer must be
// valid.
func (c *Conv) PadFor(in Shape) Pad {
	return c.Padding.resolve(c.Pad, in, c.Kernel, c.Stride, c.Dilation)
}

// PadFor returns the padding of an input of that shape. The layer must be
// valid.
func (p *Pool) PadFor(in Shape) Pad {
	return p.Padding.resolve(p.Pad, in, p.Kernel, p.Stride, Square(1))
}

// resolve returns the padding as numbers; extents must be positive.
func (p Padding) resolve(explicit Pad, in Shape, kernel, stride, dilation [2]int) Pad {
	if p != SameUpper {
		return explicit
	}
	total := func(size, k, s, d int) int {
		out := (size + s - 1) / s
		return max(0, (out-1)*s+(k-1)*d+1-size)
	}
	rows := total(in.H, kernel[0], stride[0], dilation[0])
	columns := total(in.W, kernel[1], stride[1], dilation[1])
	return Pad{Top: rows / 2, Left: columns / 2, Bottom: rows - rows/2, Right: columns - columns/2}
}

// validate reports an unknown way to pad, and a padding given twice.
func (p Padding) validate(explicit Pad) error {
	switch {
	case p != PadExplicit && p != SameUpper:
		return fmt.Errorf("padding %q is unknown; use %q, or pad with numbers", string(p), string(SameUpper))
	case p == SameUpper && explicit != Pad{}:
		return fmt.Errorf("has padding %q and pad %+v; give one of them", string(p), explicit)
	}
	return nil
}
