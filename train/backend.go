package train

import (
	"errors"
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
)

// Backend computes the layers of students; see OpenBackend.
type Backend = kernel.Backend

// ErrBackendUnavailable is wrapped by OpenBackend when the library that the
// backend needs is not found; the error says what to install.
var ErrBackendUnavailable = kernel.ErrUnavailable

// OpenBackend returns a backend by name: "onednn", the fast one; "ref", slow
// and without a native library; or "", oneDNN where it is found and ref
// elsewhere (Info tells which).
func OpenBackend(name string) (Backend, error) {
	switch name {
	case "ref":
		return ref.New(), nil
	case "onednn":
		return onednn.Open()
	case "":
		b, err := onednn.Open()
		if errors.Is(err, ErrBackendUnavailable) {
			return ref.New(), nil
		}
		return b, err
	}
	return nil, fmt.Errorf("backend %q is unknown; use onednn or ref", name)
}
