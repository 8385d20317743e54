//go:build !cgo

package infer

import (
	"errors"
	"strings"
	"testing"
)

func TestWithoutCgo(t *testing.T) {
	if _, err := Open(Options{}, "student.onnx"); !errors.Is(err, ErrNoRuntime) || !errors.Is(err, ErrNoCgo) || !strings.Contains(err.Error(), "CGO_ENABLED=0") || !strings.Contains(err.Error(), "--engine onnx-go") {
		t.Errorf("got %v", err)
	}
}
