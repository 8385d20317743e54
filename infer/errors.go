package infer

import (
	"errors"
	"fmt"
)

// What can go wrong, besides errors of files and contexts; test with
// errors.Is.
var (
	// ErrNoRuntime: ONNX Runtime's library is not there or cannot be loaded.
	ErrNoRuntime = errors.New("ONNX Runtime is not available")
	// ErrRuntimeTooOld: the library found lacks the API needed. The error is a
	// *RuntimeTooOldError.
	ErrRuntimeTooOld = errors.New("ONNX Runtime is too old")
	// ErrNotONNX: a file is no ONNX model, or only part of one.
	ErrNotONNX = errors.New("not an ONNX model")
	// ErrUnsupported: ONNX Runtime, or this package, cannot run the model.
	ErrUnsupported = errors.New("model cannot be run")
	// ErrNoMetadata: the model does not say how to prepare images for it.
	ErrNoMetadata = errors.New("the model has no metadata about its images")
	// ErrMismatch: models do not fit together as a cohort.
	ErrMismatch = errors.New("the models are no cohort")
	// ErrWrongInput: a tensor of the wrong size, or no images at all.
	ErrWrongInput = errors.New("wrong input")
	// ErrImage: an image cannot be read or decoded.
	ErrImage = errors.New("unreadable image")
	// ErrNoOutput: the model lacks the output that a call needs.
	ErrNoOutput = errors.New("the model lacks the output")
	// ErrClosed: the model was closed.
	ErrClosed = errors.New("the model is closed")
)

// RuntimeTooOldError says which library is too old. errors.Is finds
// ErrRuntimeTooOld in it.
type RuntimeTooOldError struct {
	Path    string // of the library
	Version string // such as "1.14.1"; "unknown" where the library does not say
	Needed  string // oldest version that serves, such as "1.29"
	Remedy  string // what to do, which depends on where it was found
}

func (e *RuntimeTooOldError) Error() string {
	return fmt.Sprintf("%s: %s is version %s, at least %s is needed: %s",
		ErrRuntimeTooOld, e.Path, e.Version, e.Needed, e.Remedy)
}

func (e *RuntimeTooOldError) Unwrap() error { return ErrRuntimeTooOld }
