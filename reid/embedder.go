package reid

import (
	"context"
	"image"
)

// Embedder turns images of persons into features. The models of package infer
// are Embedders.
type Embedder interface {
	// EmbedImages returns the features of each image, in order: vectors of one
	// length, the same in every call. Sets of package reid hold them row after
	// row. It fails as a whole. It is safe for concurrent use.
	EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error)
}
