// Package data embeds a small subset of MNIST, so that the demonstration needs
// no download: 2,000 training and 1,000 test images, the same number of each
// digit. ATTRIBUTION.md says where they come from; package gen made them.
package data

import (
	"embed"

	"github.com/deepmutual/dml/dataset"
)

//go:embed *.gz
var files embed.FS

// Load returns Train and Test; Val is nil, for the caller to carve from Train
// where it wants one.
func Load() (dataset.Splits, error) {
	return dataset.OpenFS(files, dataset.Options{Kind: dataset.MNIST})
}
