//go:build !cgo

package infer

import "fmt"

// onnxRuntime is the standard Engine, which needs cgo.
type onnxRuntime struct{}

// Load loads nothing.
func (onnxRuntime) Load(Source, Options) (Backend, error) {
	return nil, fmt.Errorf("%w: this program was built with CGO_ENABLED=0; loading the library needs cgo, the engine onnx-go (infer/gorgonia) does not", ErrNoRuntime)
}
