//go:build !cgo

package infer

import "fmt"

func openSession(source, Options) (Backend, error) {
	return nil, fmt.Errorf("%w: this program was built with CGO_ENABLED=0; loading the library needs cgo", ErrNoRuntime)
}
