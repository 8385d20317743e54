//go:build !cgo

package infer

import "fmt"

// onnxRuntime is the standard Engine, which needs cgo.
type onnxRuntime struct{}

// Load loads nothing.
func (onnxRuntime) Load(Source, Options) (Backend, error) {
	return nil, fmt.Errorf("%w: %w; loading the library needs cgo, the engine onnx-go does not (Options.Engine, or --engine onnx-go)", ErrNoRuntime, ErrNoCgo)
}
