// Command gen makes the MNIST subset that package data embeds:
//
//	go run ./cmd/dml/internal/demo/data/gen MNIST_FOLDER OUTPUT_FOLDER
//
// MNIST_FOLDER holds the four original files, plain or gzipped. From each class
// it draws 200 training and 100 test images with a fixed seed, keeps them in
// their original order, and writes them as gzipped IDX files of the original
// names.
package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/mnist"
)

const seed = 1

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: gen MNIST_FOLDER OUTPUT_FOLDER")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(from, to string) error {
	splits, err := mnist.Read(os.DirFS(from))
	if err != nil {
		return err
	}
	if splits.Test == nil {
		return fmt.Errorf("%s has no test files", from)
	}
	if err := part(splits.Train, 200, to, mnist.TrainImages, mnist.TrainLabels); err != nil {
		return err
	}
	return part(splits.Test, 100, to, mnist.TestImages, mnist.TestLabels)
}

// part writes perClass samples of each class of ds.
func part(ds dataset.Dataset, perClass int, to, imagesFile, labelsFile string) error {
	images := mnist.Images{}
	var labels []uint8
	for _, i := range balanced(ds, perClass) {
		m, err := ds.Image(i)
		if err != nil {
			return err
		}
		images.Count++
		images.Rows, images.Cols = m.Height, m.Width
		images.Pix = append(images.Pix, m.Pix...)
		labels = append(labels, uint8(ds.Label(i)))
	}
	if images.Count != perClass*mnist.Classes {
		return fmt.Errorf("%s has too few images", ds.Name())
	}
	err := write(filepath.Join(to, imagesFile+".gz"), func(w io.Writer) error { return mnist.WriteImages(w, images) })
	if err != nil {
		return err
	}
	return write(filepath.Join(to, labelsFile+".gz"), func(w io.Writer) error { return mnist.WriteLabels(w, labels) })
}

// balanced draws the indices, ascending, of perClass samples of each class.
func balanced(ds dataset.Dataset, perClass int) []int {
	var kept []int
	count := make([]int, len(ds.Classes()))
	for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(ds.Len()) {
		if class := ds.Label(i); count[class] < perClass {
			count[class]++
			kept = append(kept, i)
		}
	}
	slices.Sort(kept)
	return kept
}

func write(path string, body func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close() // a second Close after the one below does nothing
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := body(z); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
