//go:build !cgo

package verify

import (
	"context"
	"fmt"

	"github.com/deepmutual/dml/infer"
)

// Model is an exported model on ONNX Runtime, which needs cgo.
type Model struct{}

// Open needs cgo; without, its error wraps infer.ErrNoRuntime.
func Open(_ []byte, opts infer.Options) (*Model, error) {
	_, err := infer.AcquireRuntime(opts.Library)
	return nil, fmt.Errorf("verify: %w", err)
}

// Outputs returns the outputs' names in the file's order.
func (m *Model) Outputs() []string { return nil }

// Close frees the model.
func (m *Model) Close() error { return nil }

// Run runs the model on samples.
func (m *Model) Run(context.Context, Samples, int) (map[string][]float32, error) {
	return nil, fmt.Errorf("verify: %w", infer.ErrNoRuntime)
}
