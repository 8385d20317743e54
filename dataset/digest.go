package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Digest tells a data set from others, wherever it lies: it is made of the
// classes and, of every sample in order, the label and the name and size of its
// file, or the pixels of an image in memory. No image file is read. Of a Dataset
// that another package implements, classes and labels alone count.
func Digest(ds Dataset) (string, error) {
	sum := sha256.New()
	w := bufio.NewWriter(sum) // whose errors would be the hash's, which has none
	fmt.Fprintf(w, "%q\n", ds.Classes())
	for i := range ds.Len() {
		fmt.Fprintln(w, ds.Label(i))
		if err := digestSample(w, ds, i); err != nil {
			return "", fmt.Errorf("%s: %w", ds.Name(), err)
		}
	}
	w.Flush()
	return fmt.Sprintf("sha256:%x", sum.Sum(nil)), nil
}

func digestSample(w io.Writer, ds Dataset, i int) error {
	switch ds := ds.(type) {
	case *subset:
		return digestSample(w, ds.Dataset, ds.indices[i])
	case *files:
		size := int64(-1) // of a file that is not there, which may never be read: one for testing
		info, err := fs.Stat(ds.fsys, ds.names[i])
		switch {
		case err == nil:
			size = info.Size()
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		fmt.Fprintf(w, "%q %d\n", ds.names[i], size)
	case *Memory:
		m, _ := ds.Image(i) // which never fails
		binary.Write(w, binary.LittleEndian, []int32{int32(m.Width), int32(m.Height), int32(m.Channels)})
		w.Write(m.Pix)
	}
	return nil
}
