//go:build cgo

package infer

import (
	"errors"
	"path/filepath"
	"testing"

	ort "github.com/yalue/onnxruntime_go"
)

func TestAcquireRuntime(t *testing.T) {
	if _, err := AcquireRuntime(filepath.Join(t.TempDir(), "none.so")); !errors.Is(err, ErrNoRuntime) {
		t.Errorf("a library that is not there: %v", err)
	}
	needRuntime(t)
	if ort.IsInitialized() {
		t.Fatal("another test left the runtime loaded")
	}
	first, err := AcquireRuntime("")
	if err != nil {
		t.Fatal(err)
	}
	second, err := AcquireRuntime("")
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range []func() error{first, first} { // releasing twice counts once
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	if !ort.IsInitialized() {
		t.Error("the runtime went with the first of two")
	}
	if err := second(); err != nil {
		t.Fatal(err)
	}
	if ort.IsInitialized() {
		t.Error("the runtime stayed after the last")
	}
}
