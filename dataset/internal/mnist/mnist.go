// Package mnist reads data sets in MNIST's IDX format, gzipped or not: MNIST
// and those of the same form, such as Fashion-MNIST.
//
// Format: http://yann.lecun.com/exdb/mnist/, section "File formats".
package mnist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/deepmutual/dml/dataset/internal/raw"
)

// Classes is the number of classes; labels are 0 to Classes-1.
const Classes = 10

// The base names of the four files. Each may also end in .gz, and have a dot
// for its last hyphen but one (train-images.idx3-ubyte).
const (
	TrainImages = "train-images-idx3-ubyte"
	TrainLabels = "train-labels-idx1-ubyte"
	TestImages  = "t10k-images-idx3-ubyte"
	TestLabels  = "t10k-labels-idx1-ubyte"
)

// Present tells whether fsys holds the training images' file.
func Present(fsys fs.FS) bool {
	_, err := find(fsys, TrainImages)
	return err == nil
}

// Read reads the training files in fsys and, where one of them is there, the
// test files. Val is nil. Errors are *raw.Error, or wrap
// fs.ErrNotExist where a file is missing.
func Read(fsys fs.FS) (raw.Data, error) {
	var s raw.Data
	for i := range Classes {
		s.Classes = append(s.Classes, fmt.Sprint(i))
	}
	train, err := readPart(fsys, "mnist/train", TrainImages, TrainLabels)
	if err != nil {
		return raw.Data{}, err
	}
	s.Train = train
	_, errImages := find(fsys, TestImages)
	_, errLabels := find(fsys, TestLabels)
	if errImages != nil && errLabels != nil {
		return s, nil
	}
	test, err := readPart(fsys, "mnist/test", TestImages, TestLabels)
	if err != nil {
		return raw.Data{}, err
	}
	s.Test = test
	return s, nil
}

func readPart(fsys fs.FS, name, imagesFile, labelsFile string) (*raw.Part, error) {
	images, imagesName, err := readFile(fsys, imagesFile, ReadImages)
	if err != nil {
		return nil, err
	}
	labels, labelsName, err := readFile(fsys, labelsFile, ReadLabels)
	if err != nil {
		return nil, err
	}
	if len(labels) != images.Count {
		return nil, &raw.Error{File: labelsName, Record: -1,
			Err: fmt.Errorf("%d labels for the %d images of %s", len(labels), images.Count, imagesName)}
	}
	part := &raw.Part{Name: name, Channels: 1, Height: images.Rows, Width: images.Cols, Pix: images.Pix}
	for i, label := range labels {
		if label >= Classes {
			return nil, &raw.Error{File: labelsName, Record: i,
				Err: fmt.Errorf("label %d: want 0 to %d", label, Classes-1)}
		}
		part.Labels = append(part.Labels, int(label))
	}
	return part, nil
}

// readFile finds base in fsys and parses it.
func readFile[T any](fsys fs.FS, base string, parse func(io.Reader) (T, error)) (T, string, error) {
	var zero T
	name, err := find(fsys, base)
	if err != nil {
		return zero, "", err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return zero, name, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	v, err := parse(f)
	if err != nil {
		return zero, name, &raw.Error{File: name, Record: -1, Err: err}
	}
	return v, name, nil
}

// find returns the name by which fsys holds base.
func find(fsys fs.FS, base string) (string, error) {
	dotted := strings.Replace(base, "-idx", ".idx", 1)
	for _, name := range []string{base, base + ".gz", dotted, dotted + ".gz"} {
		switch _, err := fs.Stat(fsys, name); {
		case err == nil:
			return name, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	return "", fmt.Errorf("%s (or %s.gz): %w", base, base, fs.ErrNotExist)
}
