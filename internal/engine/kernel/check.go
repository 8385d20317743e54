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

// CheckSources returns an error that wraps [ErrArgument] unless srcs are what s
// describes. It does not allocate when they are right.
func (s ConcatSpec) CheckSources(srcs []Tensor) error {
	if len(srcs) != len(s.Srcs) {
		return fmt.Errorf("%w: %d sources, want %d", ErrArgument, len(srcs), len(s.Srcs))
	}
	for i, t := range srcs {
		if err := CheckTensor("src", t, s.Srcs[i]); err != nil {
			return fmt.Errorf("source %d: %w", i, err)
		}
	}
	return nil
}

// CheckSource returns an error that wraps [ErrArgument] unless dSrc can be the
// gradient of the source of that index. It does not allocate when it is right.
func (s ConcatSpec) CheckSource(source int, dSrc Tensor) error {
	if source < 0 || source >= len(s.Srcs) {
		return fmt.Errorf("%w: source %d of %d", ErrArgument, source, len(s.Srcs))
	}
	return CheckTensor("dSrc", dSrc, s.Srcs[source])
}

// CheckSlice returns an error that wraps [ErrArgument] unless v holds n values.
// It does not allocate when v is right.
func CheckSlice(name string, v []float32, n int) error {
	if len(v) != n {
		return fmt.Errorf("%w: %s holds %d values, want %d", ErrArgument, name, len(v), n)
	}
	return nil
}

// CheckAlloc reports a number of values that no engine can allocate.
func CheckAlloc(n int) error {
	if n < 0 || n > maxValues {
		return fmt.Errorf("%w for %d values", ErrMemory, n)
	}
	return nil
}
