//go:build !cgo

package infer

import "fmt"

// AcquireRuntime needs cgo.
func AcquireRuntime(string) (release func() error, err error) {
	return nil, fmt.Errorf("infer: %w: this program was built with CGO_ENABLED=0; loading the library needs cgo", ErrNoRuntime)
}
