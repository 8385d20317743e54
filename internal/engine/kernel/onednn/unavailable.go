//go:build !cgo || !(linux || darwin)

package onednn

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// Open reports that this build cannot load oneDNN: that needs cgo, on Linux or
// macOS. The error wraps [kernel.ErrUnavailable].
func Open() (kernel.Backend, error) {
	return nil, fmt.Errorf("%w: this program was built without cgo or for a system on which oneDNN is not "+
		"loaded; build it on Linux or macOS with CGO_ENABLED=1, a C compiler and oneDNN (%s)",
		kernel.ErrUnavailable, install)
}

// Multiplier cannot be opened in this build.
type Multiplier struct{}

// OpenMultiplier fails as Open does.
func OpenMultiplier(int) (*Multiplier, error) {
	_, err := Open()
	return nil, err
}

// Close does nothing.
func (*Multiplier) Close() error { return nil }

// MultiplyTransposed fails as Open does.
func (*Multiplier) MultiplyTransposed(c, a, b []float32, rows, columns, k int) error {
	_, err := Open()
	return err
}
