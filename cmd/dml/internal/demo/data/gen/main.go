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
	"encoding/binary"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/deepmutual/dml/dataset"
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
	splits, err := dataset.Open(from, dataset.Options{Kind: dataset.MNIST})
	if err != nil {
		return err
	}
	if splits.Test == nil {
		return fmt.Errorf("%s has no test files", from)
	}
	if err := part(splits.Train, 200, to, "train"); err != nil {
		return err
	}
	return part(splits.Test, 100, to, "t10k")
}

// part writes perClass samples of each class of ds.
func part(ds dataset.Dataset, perClass int, to, name string) error {
	var pix, labels []uint8
	var height, width int
	for _, i := range balanced(ds, perClass) {
		m, err := ds.Image(i)
		if err != nil {
			return err
		}
		height, width = m.Height, m.Width
		pix = append(pix, m.Pix...)
		labels = append(labels, uint8(ds.Label(i)))
	}
	if len(labels) != perClass*len(ds.Classes()) {
		return fmt.Errorf("%s has too few images", ds.Name())
	}
	if err := write(filepath.Join(to, name+"-images-idx3-ubyte.gz"), pix, len(labels), height, width); err != nil {
		return err
	}
	return write(filepath.Join(to, name+"-labels-idx1-ubyte.gz"), labels, len(labels))
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

// write makes a gzipped IDX file of unsigned bytes: a magic number that ends with
// the number of dimensions, these, and the data.
func write(path string, data []byte, dims ...int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close() // a second Close after the one below does nothing
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	head := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		head = binary.BigEndian.AppendUint32(head, uint32(d))
	}
	if _, err := z.Write(append(head, data...)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
