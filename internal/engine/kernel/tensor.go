// Package kernel declares the numeric kernels that networks are trained with.
//
// A [Backend] makes an [Engine] for one student: the engine owns that student's
// threads, scratch memory and layouts, and hands out kernel objects ([Conv],
// [BatchNorm], ...) that are planned once for a shape and then run every step
// without allocating. Package ref implements the interface in slow and obvious
// Go, package onednn over the oneDNN library; package kerneltest holds the one
// suite that both must pass.
package kernel

import "fmt"

// Layout says how a 4-dimensional activation lies in memory.
type Layout uint8

const (
	// NCHW is the plain layout: W is contiguous.
	NCHW Layout = iota
	// NHWC has the channels contiguous.
	NHWC
	// NChw8c holds blocks of 8 channels, [N, ceil(C/8), H, W, 8]; channels
	// past C are zero.
	NChw8c
	// NChw16c holds blocks of 16 channels, [N, ceil(C/16), H, W, 16]; channels
	// past C are zero.
	NChw16c
)

// Block returns the number of channels stored together: 8 or 16 for the
// blocked layouts, 1 for the others.
func (l Layout) Block() int {
	switch l {
	case NChw8c:
		return 8
	case NChw16c:
		return 16
	}
	return 1
}

func (l Layout) String() string {
	switch l {
	case NCHW:
		return "NCHW"
	case NHWC:
		return "NHWC"
	case NChw8c:
		return "NChw8c"
	case NChw16c:
		return "NChw16c"
	}
	return fmt.Sprintf("Layout(%d)", uint8(l))
}

// Desc is the logical shape of an activation and its layout. A matrix
// [batch, features] is a Desc with H = W = 1 and layout NCHW.
type Desc struct {
	N, C, H, W int
	Layout     Layout
}

// Matrix returns the Desc of a plain [rows, cols] matrix.
func Matrix(rows, cols int) Desc { return Desc{N: rows, C: cols, H: 1, W: 1} }

// Size returns the number of float32 values that a tensor of this Desc
// occupies, channel padding included.
func (d Desc) Size() int {
	b := d.Layout.Block()
	return d.N * ((d.C + b - 1) / b * b) * d.H * d.W
}

// Dims returns the physical extents: [N, C, H, W], [N, H, W, C], or
// [N, ceil(C/b), H, W, b] for a blocked layout.
func (d Desc) Dims() []int {
	switch b := d.Layout.Block(); {
	case b > 1:
		return []int{d.N, (d.C + b - 1) / b, d.H, d.W, b}
	case d.Layout == NHWC:
		return []int{d.N, d.H, d.W, d.C}
	}
	return []int{d.N, d.C, d.H, d.W}
}

// Index returns the position of element (n, c, h, w) in the data.
func (d Desc) Index(n, c, h, w int) int {
	switch b := d.Layout.Block(); {
	case b > 1:
		blocks := (d.C + b - 1) / b
		return (((n*blocks+c/b)*d.H+h)*d.W+w)*b + c%b
	case d.Layout == NHWC:
		return ((n*d.H+h)*d.W+w)*d.C + c
	}
	return ((n*d.C+c)*d.H+h)*d.W + w
}

// As returns the same shape in another layout.
func (d Desc) As(l Layout) Desc {
	d.Layout = l
	return d
}

func (d Desc) String() string {
	return fmt.Sprintf("%dx%dx%dx%d %v", d.N, d.C, d.H, d.W, d.Layout)
}

// Tensor is an activation: its description and Desc.Size() values.
type Tensor struct {
	Desc
	Data []float32
}

// NewTensor allocates a zeroed tensor in Go memory.
func NewTensor(d Desc) Tensor { return Tensor{Desc: d, Data: make([]float32, d.Size())} }

// Convert copies src into dst, changing the layout; the channel padding of
// dst is set to zero. It is the slow, obvious reference of every reorder.
func Convert(dst, src Tensor) {
	clear(dst.Data)
	for n := range src.N {
		for c := range src.C {
			for h := range src.H {
				for w := range src.W {
					dst.Data[dst.Index(n, c, h, w)] = src.Data[src.Index(n, c, h, w)]
				}
			}
		}
	}
}
