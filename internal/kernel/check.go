package kernel

import (
	"errors"
	"fmt"
)

// ErrArgument is wrapped by the error of a kernel that was run with a tensor or
// slice that its spec does not describe.
var ErrArgument = errors.New("kernel: wrong argument")

// CheckTensor returns an error that wraps [ErrArgument] unless t has the Desc
// want and exactly its values. It does not allocate when t is right.
func CheckTensor(name string, t Tensor, want Desc) error {
	if t.Desc != want {
		return fmt.Errorf("%w: %s is %v, want %v", ErrArgument, name, t.Desc, want)
	}
	return CheckSlice(name, t.Data, want.Size())
}

// CheckSlice returns an error that wraps [ErrArgument] unless v holds n values.
// It does not allocate when v is right.
func CheckSlice(name string, v []float32, n int) error {
	if len(v) != n {
		return fmt.Errorf("%w: %s holds %d values, want %d", ErrArgument, name, len(v), n)
	}
	return nil
}
