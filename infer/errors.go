package infer

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// What can go wrong, besides errors of files and contexts; test with
// errors.Is.
var (
	// ErrNoRuntime: ONNX Runtime's library is not there or cannot be loaded.
	ErrNoRuntime = errors.New("ONNX Runtime is not available")
	// ErrNoCgo: the program was built without cgo, which loading the library needs.
	// Such an error is an ErrNoRuntime, too.
	ErrNoCgo = errors.New("this program was built with CGO_ENABLED=0")
	// ErrRuntimeTooOld: the library found lacks the API needed. The error is a
	// *RuntimeTooOldError.
	ErrRuntimeTooOld = errors.New("ONNX Runtime is too old")
	// ErrNotONNX: a file is not an ONNX model, or only part of one.
	ErrNotONNX = errors.New("not an ONNX model")
	// ErrUnsupported: ONNX Runtime, or this package, cannot run the model.
	ErrUnsupported = errors.New("model cannot be run")
	// ErrNoMetadata: the model does not say how to prepare images for it.
	ErrNoMetadata = errors.New("the model has no metadata about its images")
	// ErrMismatch: networks do not fit together as an ensemble.
	ErrMismatch = errors.New("the models do not fit together")
	// ErrWrongInput: a tensor of the wrong type or size, or no images at all.
	ErrWrongInput = errors.New("wrong input")
	// ErrWrongSize: a tensor of the wrong size. Such an error is a *SizeError,
	// and an ErrWrongInput too.
	ErrWrongSize = errors.New("wrong size")
	// ErrCancelled: the call's context ended it. Such an error wraps the
	// context's cause too.
	ErrCancelled = errors.New("cancelled")
	// ErrNoProvider: the library lacks the execution provider asked for. The
	// error is a *ProviderError.
	ErrNoProvider = errors.New("execution provider is not available")
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
	Needed  string // oldest version that works, such as "1.29"
	Remedy  string // what to do, which depends on where it was found
}

func (e *RuntimeTooOldError) Error() string {
	return fmt.Sprintf("%s: %s is version %s, at least %s is needed: %s",
		ErrRuntimeTooOld, e.Path, e.Version, e.Needed, e.Remedy)
}

func (e *RuntimeTooOldError) Unwrap() error { return ErrRuntimeTooOld }

// ImagesError says which images of a call are at fault, while the others have
// answers. errors.Is and errors.As look into all of Errs.
type ImagesError struct {
	Errs []error // of each image, in the call's order; nil where it has an answer
}

// imagesError returns the error of a call with these faults, nil if there are none.
func imagesError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return &ImagesError{errs}
		}
	}
	return nil
}

func isOfImages(err error) bool {
	var images *ImagesError
	return errors.As(err, &images)
}

// Error names the first few.
func (e *ImagesError) Error() string {
	const most = 3
	var text strings.Builder
	text.WriteString("infer: ")
	faults := 0
	for i, err := range e.Errs {
		if err == nil {
			continue
		}
		if faults++; faults > most {
			continue
		}
		if faults > 1 {
			text.WriteString("; ")
		}
		if len(e.Errs) > 1 {
			fmt.Fprintf(&text, "image %d: ", i+1)
		}
		text.WriteString(err.Error())
	}
	if faults > most {
		fmt.Fprintf(&text, "; and %d more of %d images", faults-most, len(e.Errs))
	}
	return text.String()
}

// ImageErrors returns Errs: for packages that know this type only by an interface.
func (e *ImagesError) ImageErrors() []error { return e.Errs }

func (e *ImagesError) Unwrap() []error {
	var out []error
	for _, err := range e.Errs {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// SizeError says how long a raw batch is and how long it should be. errors.Is
// finds ErrWrongSize and ErrWrongInput in it.
type SizeError struct {
	Values    int // in the batch
	Samples   int // it is said to have
	PerSample int // values of a sample that the model takes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: %s: %d values for %d samples of %d", ErrWrongInput, ErrWrongSize, e.Values, e.Samples, e.PerSample)
}

func (e *SizeError) Unwrap() []error { return []error{ErrWrongInput, ErrWrongSize} }

// ProviderError says which execution provider cannot be used, and why.
// errors.Is finds ErrNoProvider in it.
type ProviderError struct {
	Name string
	Err  error // what ONNX Runtime says
}

func (e *ProviderError) Error() string {
	return fmt.Sprintf("%s: %s: %v; leave it out to compute on the processor, or give a library that was built with it", ErrNoProvider, e.Name, e.Err)
}

func (e *ProviderError) Unwrap() []error { return []error{ErrNoProvider, e.Err} }

// cancelled is the error of a call whose context has ended.
func cancelled(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrCancelled, context.Cause(ctx))
}
