package reid

import (
	"context"
	"image"
)

// Embedder turns images of people into features. The models of package infer
// are Embedders.
type Embedder interface {
	// EmbedImages returns the features of each image, in order: vectors of one
	// length, the same in every call. Sets of package reid hold them row after
	// row. Where single images are at fault, the error is an ImagesError; after any
	// other there are no vectors. It is safe for concurrent use.
	EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error)
}

// ImagesError is an error of EmbedImages that concerns single images, beside the
// others' vectors. Package infer's *ImagesError is one.
type ImagesError interface {
	error
	// ImageErrors returns the fault of each image, in the call's order; nil where its
	// vector is there.
	ImageErrors() []error
}
