// Package extract makes folders of re-identification features (see package
// features) of images, by an Embedder.
package extract
