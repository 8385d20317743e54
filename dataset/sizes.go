package dataset

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/deepmutual/dml/internal/pixels"
)

// ErrSizes says that images have no size that all could be trained in.
var ErrSizes = errors.New("the images need a size")

// SizesError wraps ErrSizes.
type SizesError struct {
	// Smallest and Largest are of the images that were looked at, by area, with the
	// files' names.
	Smallest, Largest         Shape
	SmallestFile, LargestFile string
	// Proposed is a size that suits them.
	Proposed Shape
}

func (e *SizesError) Error() string {
	p := e.Proposed
	return fmt.Sprintf("%v: from %dx%d (%s) to %dx%d (%s), height by width; %dx%d would suit them, and at %dx%d memory and time of a step would be some %.0f times as much",
		ErrSizes, e.Smallest.Height, e.Smallest.Width, e.SmallestFile, e.Largest.Height, e.Largest.Width, e.LargestFile,
		p.Height, p.Width, e.Largest.Height, e.Largest.Width, max(1, float64(e.Largest.Height*e.Largest.Width)/float64(p.Height*p.Width)))
}

func (e *SizesError) Unwrap() error { return ErrSizes }

// largestUnasked is the most pixels of images that are trained on in their own
// size without being asked to.
const largestUnasked = 1 << 19

// CheckSizes returns a *SizesError where the images of ds, of which a sample at
// even steps is looked at, have different sizes, or one of more than half a
// megapixel, so that a size must be chosen to train in. Images in memory all have
// one. It reads no more of a file than its header.
func CheckSizes(ds Dataset) error {
	sized, ok := ds.(interface {
		size(i int) (height, width int, file string, err error)
	})
	if !ok || inMemory(ds) {
		return nil
	}
	type found struct {
		height, width int
		file          string
	}
	var all []found
	step := max(1, ds.Len()/sizeSample)
	for i := 0; i < ds.Len(); i += step {
		h, w, file, err := sized.size(i)
		if err == nil { // what cannot be read is told when it is decoded
			all = append(all, found{h, w, file})
		}
	}
	if len(all) == 0 {
		return nil
	}
	area := func(a, b found) int { return cmp.Compare(a.height*a.width, b.height*b.width) }
	least, most := slices.MinFunc(all, area), slices.MaxFunc(all, area)
	same := !slices.ContainsFunc(all, func(f found) bool { return f.height != least.height || f.width != least.width })
	if same && most.height*most.width <= largestUnasked {
		return nil
	}
	middle := func(side func(found) int) int {
		sides := make([]int, len(all))
		for i, f := range all {
			sides[i] = side(f)
		}
		slices.Sort(sides)
		return sides[len(sides)/2]
	}
	height, width := middle(func(f found) int { return f.height }), middle(func(f found) int { return f.width })
	return &SizesError{
		Smallest: Shape{Height: least.height, Width: least.width}, SmallestFile: least.file,
		Largest: Shape{Height: most.height, Width: most.width}, LargestFile: most.file,
		Proposed: propose(height, width),
	}
}

// sizeSample is about how many images CheckSizes looks at.
const sizeSample = 200

// propose is a size to train in of images that usually have this one: the usual
// sizes of people and of photographs, or of small images their own, in whole
// eighths.
func propose(height, width int) Shape {
	switch {
	case max(height, width) <= 128:
		eighths := func(side int) int { return max(8, (side+4)/8*8) }
		return Shape{Height: eighths(height), Width: eighths(width)}
	case 2*height >= 3*width:
		return Shape{Height: 256, Width: 128}
	}
	return Shape{Height: 224, Width: 224}
}

func (f *files) size(i int) (height, width int, file string, err error) {
	in, err := f.fsys.Open(f.names[i])
	if err != nil {
		return 0, 0, "", err
	}
	defer in.Close()       // opened for reading: nothing is lost if this fails
	const header = 1 << 18 // of files that hold a preview before the picture
	var head bytes.Buffer
	if _, err := head.ReadFrom(io.LimitReader(in, header)); err != nil {
		return 0, 0, "", err
	}
	width, height, err = pixels.Size(head.Bytes())
	return height, width, f.names[i], err
}

func (s *subset) size(i int) (height, width int, file string, err error) {
	sized, ok := s.Dataset.(interface {
		size(i int) (height, width int, file string, err error)
	})
	if !ok {
		return 0, 0, "", errors.ErrUnsupported
	}
	return sized.size(s.indices[i])
}
