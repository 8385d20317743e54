package infer

import (
	"bytes"
	"context"
	"fmt"
	"os"
)

// Engine loads networks; see Options.Engine.
type Engine interface {
	// Load makes a Backend of a model. The error wraps that of reading the file,
	// ErrNotONNX or ErrUnsupported, and need not name the model. Description.Assign
	// finds the outputs that the options ask for.
	Load(model Source, opts Options) (Backend, error)
}

// Backend computes one network. Engines make them; [New] makes a Model of any,
// which then prepares images, checks metadata and embeds as ever.
type Backend interface {
	Describe() Description
	// Run computes n samples, which fill writes into the input: n times the
	// sample that Describe tells. Several calls may run at a time. The result is
	// the caller's own.
	Run(ctx context.Context, n int, fill func(Input) error) (Outputs, error)
	// Close frees the network. No call is under way then.
	Close() error
}

// inPlace is a Backend that can read samples where they are.
type inPlace interface {
	runOn(ctx context.Context, n int, in Input) (Outputs, error)
}

// Source is a model's file or bytes.
type Source struct {
	Path string // "" where it is not known
	Data []byte // nil where the file is to be read
}

func (s Source) String() string {
	if s.Path == "" {
		return fmt.Sprintf("model of %d bytes", len(s.Data))
	}
	return s.Path
}

// Bytes returns the model's bytes, read from the file where they are not there.
// Folders and special files, opening which could block for ever, give ErrNotONNX.
func (s Source) Bytes() ([]byte, error) {
	if s.Data != nil {
		return s.Data, nil
	}
	if _, err := s.regular(); err != nil {
		return nil, err
	}
	return os.ReadFile(s.Path)
}

// Check looks at a few bytes of each part of the model, and gives ErrNotONNX for
// what is not a whole ONNX model.
func (s Source) Check() error {
	if s.Data != nil {
		return checkModel(bytes.NewReader(s.Data), int64(len(s.Data)))
	}
	size, err := s.regular()
	if err != nil {
		return err
	}
	f, err := os.Open(s.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return checkModel(f, size)
}

// regular returns the size of the file.
func (s Source) regular() (int64, error) {
	info, err := os.Stat(s.Path)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%w: it is a folder or special file", ErrNotONNX)
	}
	return info.Size(), nil
}
