package kernel

import (
	"errors"
	"strings"
	"testing"
)

func goodConv() ConvSpec {
	return ConvSpec{
		Src: Desc{N: 2, C: 6, H: 8, W: 8}, Dst: Desc{N: 2, C: 9, H: 4, W: 5},
		KernelH: 3, KernelW: 3, StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 2,
		Pad: Pad{Bottom: 1, Left: 2, Right: 3}, Groups: 3,
	}
}

func TestConvSpecValidate(t *testing.T) {
	if err := goodConv().Validate(); err != nil {
		t.Fatal(err)
	}
	// Both faults at once, each with what was expected.
	s := goodConv()
	s.Dst.H, s.Groups = 5, 4
	err := s.Validate()
	if !errors.Is(err, ErrSpec) {
		t.Fatalf("%v does not wrap ErrSpec", err)
	}
	for _, want := range []string{"Dst.H is 5, want 4", "Groups 4 does not divide Src.C 6", "Groups 4 does not divide Dst.C 9"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestValidateReorder(t *testing.T) {
	d := Desc{N: 2, C: 3, H: 4, W: 5}
	for _, c := range []struct {
		dst, src Desc
		ok       bool
	}{
		{d.As(NChw16c), d, true},
		{d, d.As(NHWC), true},
		{Matrix(2, 60), d, true},
		{d, Matrix(2, 60), true},
		{Matrix(2, 60), d.As(NHWC), false},
		{Matrix(60, 2), d, false},
		{Desc{N: 2, C: 3, H: 5, W: 4}, d, false},
		{d.As(9), d, false},
	} {
		if err := ValidateReorder(c.dst, c.src); (err == nil) != c.ok {
			t.Errorf("reorder %v to %v: %v", c.src, c.dst, err)
		}
	}
}

func TestCheckTensor(t *testing.T) {
	d := Desc{N: 1, C: 3, H: 2, W: 2, Layout: NChw8c}
	good := NewTensor(d)
	if err := CheckTensor("src", good, d); err != nil {
		t.Error(err)
	}
	if n := testing.AllocsPerRun(10, func() { _ = CheckTensor("src", good, d) }); n != 0 {
		t.Errorf("a check allocates %g times", n)
	}
	for _, bad := range []Tensor{{}, {d, good.Data[1:]}, {d.As(NCHW), good.Data}, {d, nil}} {
		if err := CheckTensor("src", bad, d); !errors.Is(err, ErrArgument) {
			t.Errorf("%v with %d values: %v, want ErrArgument", bad.Desc, len(bad.Data), err)
		}
	}
}

// TestDescIndex visits every value of a tensor once, in every layout.
func TestDescIndex(t *testing.T) {
	for _, l := range []Layout{NCHW, NHWC, NChw8c, NChw16c} {
		d := Desc{N: 2, C: 11, H: 3, W: 4, Layout: l}
		size := 1
		for _, e := range d.Dims() {
			size *= e
		}
		if size != d.Size() {
			t.Errorf("%v: Dims %v hold %d values, Size is %d", d, d.Dims(), size, d.Size())
		}
		seen := make([]bool, d.Size())
		for n := range d.N {
			for c := range d.C {
				for h := range d.H {
					for w := range d.W {
						i := d.Index(n, c, h, w)
						if seen[i] {
							t.Fatalf("%v: two values at %d", d, i)
						}
						seen[i] = true
					}
				}
			}
		}
	}
}

func TestConcatSpecValidate(t *testing.T) {
	d := Desc{N: 2, C: 3, H: 4, W: 5}
	good := ConcatSpec{Srcs: []Desc{d, d.As(NHWC)}, Dst: Desc{N: 2, C: 6, H: 4, W: 5, Layout: NChw8c}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	bad := ConcatSpec{Srcs: []Desc{{N: 1, C: 3, H: 4, W: 5}}, Dst: good.Dst}
	err := bad.Validate()
	if !errors.Is(err, ErrSpec) {
		t.Fatalf("%v does not wrap ErrSpec", err)
	}
	for _, want := range []string{"1 sources, want at least 2", "Srcs[0] has N, H, W = 1, 4, 5, Dst 2, 4, 5", "Dst.C is 6, the sources have 3 channels"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}
