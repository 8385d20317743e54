//go:build cgo

package infer

import (
	"fmt"
	"sync"
)

// AcquireRuntime loads ONNX Runtime as opening a model does, and keeps it
// loaded until release is called: for programs that call onnxruntime_go
// themselves beside this package. library is as in Options. Every release
// after the first does nothing.
func AcquireRuntime(library string) (release func() error, err error) {
	if err := joinEnvironment(library); err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	var once sync.Once
	return func() error {
		var err error
		once.Do(func() { err = leaveEnvironment() })
		return err
	}, nil
}
