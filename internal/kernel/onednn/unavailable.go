//go:build !cgo || !(linux || darwin)

package onednn

import (
	"fmt"

	"github.com/deepmutual/dml/internal/kernel"
)

// Open reports that this build cannot load oneDNN: that needs cgo, on Linux or
// macOS. The error wraps [kernel.ErrUnavailable].
func Open() (kernel.Backend, error) {
	return nil, fmt.Errorf("%w: this program was built without cgo or for a system on which oneDNN is not "+
		"loaded; build it on Linux or macOS with CGO_ENABLED=1, a C compiler and oneDNN (%s)",
		kernel.ErrUnavailable, install)
}
