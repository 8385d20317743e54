package mnist_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/dataset/internal/mnist"
	"github.com/deepmutual/dml/dataset/internal/raw"
)

func imagesFile(t testing.TB, count int) []byte {
	t.Helper()
	m := mnist.Images{Count: count, Rows: 3, Cols: 2}
	for i := range count * 6 {
		m.Pix = append(m.Pix, uint8(i))
	}
	var b bytes.Buffer
	if err := mnist.WriteImages(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func labelsFile(t testing.TB, labels ...uint8) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := mnist.WriteLabels(&b, labels); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func files(pairs map[string][]byte) fstest.MapFS {
	fsys := make(fstest.MapFS)
	for name, data := range pairs {
		fsys[name] = &fstest.MapFile{Data: data}
	}
	return fsys
}

func TestHeaderBytes(t *testing.T) {
	want := []byte{0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 1, 2, 3, 4, 5}
	if got := imagesFile(t, 1); !bytes.Equal(got, want) {
		t.Errorf("images file is % x, want % x", got, want)
	}
	want = []byte{0, 0, 8, 1, 0, 0, 0, 2, 7, 9}
	if got := labelsFile(t, 7, 9); !bytes.Equal(got, want) {
		t.Errorf("labels file is % x, want % x", got, want)
	}
}

func TestRead(t *testing.T) {
	for name, fsys := range map[string]fs.FS{
		"plain": files(map[string][]byte{
			"train-images-idx3-ubyte": imagesFile(t, 3), "train-labels-idx1-ubyte": labelsFile(t, 4, 0, 9),
			"t10k-images-idx3-ubyte": imagesFile(t, 1), "t10k-labels-idx1-ubyte": labelsFile(t, 5),
		}),
		"gzip and dots": files(map[string][]byte{
			"train-images.idx3-ubyte.gz": gzipped(t, imagesFile(t, 3)), "train-labels.idx1-ubyte": labelsFile(t, 4, 0, 9),
			"t10k-images-idx3-ubyte.gz": gzipped(t, imagesFile(t, 1)), "t10k-labels-idx1-ubyte.gz": gzipped(t, labelsFile(t, 5)),
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if !mnist.Present(fsys) {
				t.Error("not recognised")
			}
			s, err := mnist.Read(fsys)
			if err != nil {
				t.Fatal(err)
			}
			if s.Train.Len() != 3 || s.Test.Len() != 1 || s.Val != nil || len(s.Classes) != 10 || s.Classes[9] != "9" {
				t.Fatalf("got %d and %d samples, classes %v", s.Train.Len(), s.Test.Len(), s.Classes)
			}
			if m := s.Train; m.Width != 2 || m.Height != 3 || m.Channels != 1 || !slices.Equal(m.Pix[6:12], []uint8{6, 7, 8, 9, 10, 11}) {
				t.Errorf("training images are %+v", m)
			}
			if !slices.Equal(s.Train.Labels, []int{4, 0, 9}) || !slices.Equal(s.Test.Labels, []int{5}) {
				t.Error("wrong labels")
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	good := func() map[string][]byte {
		return map[string][]byte{
			mnist.TrainImages: imagesFile(t, 2), mnist.TrainLabels: labelsFile(t, 1, 2),
			mnist.TestImages: imagesFile(t, 1), mnist.TestLabels: labelsFile(t, 3),
		}
	}
	lying := imagesFile(t, 2)
	copy(lying[4:], []byte{0x7f, 0xff, 0xff, 0xff})
	manyLabels := labelsFile(t, 1, 2)
	copy(manyLabels[4:], []byte{0xff, 0xff, 0xff, 0xff})
	millions := imagesFile(t, 2)
	copy(millions[4:], []byte{0x00, 0x40, 0x00, 0x00}) // within the limits, but not there
	flat := imagesFile(t, 2)
	copy(flat[8:], []byte{0, 0, 0, 0})
	zipped := gzipped(t, imagesFile(t, 2))
	badSum := bytes.Clone(zipped)
	badSum[len(badSum)-8] ^= 1

	tests := []struct {
		name, file string
		data       []byte // nil removes the file
		want       error
		says       string
	}{
		{"no training images", mnist.TrainImages, nil, fs.ErrNotExist, "train-images-idx3-ubyte"},
		{"no training labels", mnist.TrainLabels, nil, fs.ErrNotExist, "train-labels-idx1-ubyte"},
		{"no test labels", mnist.TestLabels, nil, fs.ErrNotExist, "t10k-labels-idx1-ubyte"},
		{"no test images", mnist.TestImages, nil, fs.ErrNotExist, "t10k-images-idx3-ubyte"},
		{"empty", mnist.TrainImages, []byte{}, io.ErrUnexpectedEOF, "header"},
		{"labels for images", mnist.TrainImages, append(labelsFile(t, 1, 2), make([]byte, 9)...), mnist.ErrMagic, "0x00000801"},
		{"images for labels", mnist.TrainLabels, imagesFile(t, 2), mnist.ErrMagic, "0x00000803"},
		{"truncated", mnist.TrainImages, imagesFile(t, 2)[:20], io.ErrUnexpectedEOF, "4 bytes of 12"},
		{"excess", mnist.TrainLabels, append(labelsFile(t, 1, 2), 0), mnist.ErrExcess, "more than 2 bytes"},
		{"lying count", mnist.TrainImages, lying, mnist.ErrHeader, "2147483647 images of 3x2"},
		{"lying label count", mnist.TrainLabels, manyLabels, mnist.ErrHeader, "4294967295 labels"},
		{"large count", mnist.TrainImages, millions, io.ErrUnexpectedEOF, "12 bytes of 25165824"},
		{"no rows", mnist.TrainImages, flat, mnist.ErrHeader, "0x2"},
		{"count mismatch", mnist.TrainLabels, labelsFile(t, 1, 2, 3), nil, "3 labels for the 2 images"},
		{"label range", mnist.TestLabels, labelsFile(t, 10), nil, "record 0 (counted from 0): label 10"},
		{"truncated gzip", mnist.TrainImages, zipped[:len(zipped)-12], io.ErrUnexpectedEOF, "after"},
		{"gzip checksum", mnist.TrainImages, badSum, gzip.ErrChecksum, "checksum"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := good()
			if tt.data == nil {
				delete(set, tt.file)
			} else {
				set[tt.file] = tt.data
			}
			s, err := mnist.Read(files(set))
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Fatalf("got error %v, want %v", err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), tt.file) {
				t.Errorf("error %q does not say %q and %q", err, tt.file, tt.says)
			}
			var data *raw.Error
			if tt.want != fs.ErrNotExist && !errors.As(err, &data) {
				t.Errorf("error %T is not a *raw.Error", err)
			}
			if s.Train != nil || s.Test != nil {
				t.Error("data came with the error")
			}
		})
	}
}

func TestRealMNIST(t *testing.T) {
	s, err := mnist.Read(os.DirFS(datatest.Shared(t, "mnist")))
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Len() != 60000 || s.Test.Len() != 10000 {
		t.Fatalf("%d and %d samples, want 60000 and 10000", s.Train.Len(), s.Test.Len())
	}
	// The first training labels, as printed in every tutorial.
	for i, want := range []int{5, 0, 4, 1, 9, 2, 1, 3, 1, 4} {
		if got := s.Train.Labels[i]; got != want {
			t.Errorf("label %d is %d, want %d", i, got, want)
		}
	}
	var sum, squares float64
	for _, v := range s.Train.Pix {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	n := float64(len(s.Train.Pix))
	// The well-known 0.1307 and 0.3081.
	if m, d := sum/n/255, math.Sqrt(squares/n-sum/n*sum/n)/255; m < .1306 || m > .1308 || d < .3080 || d > .3082 {
		t.Errorf("mean %v and std %v, want 0.1307 and 0.3081", m, d)
	}
}

func FuzzReadImages(f *testing.F) {
	f.Add([]byte{})
	f.Add(imagesFile(f, 2))
	f.Add(gzipped(f, imagesFile(f, 1)))
	f.Add(labelsFile(f, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := mnist.ReadImages(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := mnist.WriteImages(&b, m); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) && !bytes.Equal(b.Bytes(), data) {
			t.Error("reading and writing changed the file")
		}
	})
}

func FuzzReadLabels(f *testing.F) {
	f.Add([]byte{})
	f.Add(labelsFile(f, 1, 2, 250))
	f.Add(gzipped(f, labelsFile(f, 3)))
	f.Fuzz(func(t *testing.T, data []byte) {
		labels, err := mnist.ReadLabels(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := mnist.WriteLabels(&b, labels); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) && !bytes.Equal(b.Bytes(), data) {
			t.Error("reading and writing changed the file")
		}
	})
}
