package train

import (
	"errors"
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
)

// Backend computes the layers of students; OpenBackend makes one.
type Backend struct {
	Name           string // onednn or ref
	Version        string // of oneDNN; empty for ref
	InstructionSet string // that oneDNN uses; empty for ref
	// Fallback says why ref stands in for the fast backend where none was named;
	// else it is nil.
	Fallback error

	kernels kernel.Backend
}

// ErrBackendUnavailable is wrapped by OpenBackend when the library that the
// backend needs is not found; the error says what to install.
var ErrBackendUnavailable = kernel.ErrUnavailable

// Backends lists the names that OpenBackend takes.
func Backends() []string { return []string{"onednn", "ref"} }

// OpenBackend returns a backend by name: "onednn", the fast one; "ref", slow
// and without a native library; or "", oneDNN where it is found and ref
// elsewhere.
func OpenBackend(name string) (*Backend, error) {
	switch name {
	case "ref":
		return newBackend(ref.New()), nil
	case "onednn", "":
		fast, err := onednn.Open()
		if name == "" && errors.Is(err, ErrBackendUnavailable) {
			b := newBackend(ref.New())
			b.Fallback = err
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		return newBackend(fast), nil
	}
	return nil, fmt.Errorf("backend %q is unknown; use onednn or ref", name)
}

func newBackend(kernels kernel.Backend) *Backend {
	info := kernels.Info()
	return &Backend{Name: info.Name, Version: info.Version, InstructionSet: info.ISA, kernels: kernels}
}
