package dataset_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/dataset/internal/cifar"
	"github.com/deepmutual/dml/dataset/internal/list"
)

// records makes n records of a CIFAR file with the given number of label bytes.
func records(n, labelBytes int) []byte {
	var b []byte
	for i := range n {
		r := make([]byte, labelBytes+3072)
		r[labelBytes-1] = uint8(i % 10)
		b = append(b, r...)
	}
	return b
}

func idx(t *testing.T, n int) (images, labels []byte) {
	t.Helper()
	head := func(dims ...int) []byte {
		b := []byte{0, 0, 8, byte(len(dims))}
		for _, d := range dims {
			b = binary.BigEndian.AppendUint32(b, uint32(d))
		}
		return b
	}
	images, labels = append(head(n, 2, 2), make([]byte, 4*n)...), head(n)
	for i := range n {
		labels = append(labels, uint8(i%10))
	}
	return images, labels
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder writes files into a new folder.
func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpen(t *testing.T) {
	images, labels := idx(t, 40)
	ten, hundred, pic := records(40, 1), records(40, 2), picture(t)
	flat := make(map[string][]byte)
	for _, name := range strings.Fields("a/1 a/2 a/3 a/4 a/5 a/6 a/7 a/8 b/1 b/2 b/3 b/4 b/5 b/6 b/7 b/8") {
		flat[name+".png"] = pic
	}
	split := map[string][]byte{"train/a/1.png": pic, "train/b/1.png": pic, "val/a/2.png": pic, "val/b/2.png": pic, "val/b/3.png": pic}

	tests := []struct {
		name             string
		files            map[string][]byte
		file             string // within the folder, to open
		opts             dataset.Options
		train, val, test int
		is               string
	}{
		{"mnist", map[string][]byte{"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels}, "", dataset.Options{}, 40, 0, 0, "mnist/train"},
		{"torchvision", map[string][]byte{"MNIST/raw/train-images-idx3-ubyte": images, "MNIST/raw/train-labels-idx1-ubyte": labels}, "", dataset.Options{ValFraction: .25}, 30, 10, 0, "mnist/train"},
		{"cifar10", map[string][]byte{"data_batch_1.bin": ten, "test_batch.bin": ten}, "", dataset.Options{ValFraction: .5}, 20, 20, 40, "cifar10/train"},
		{"cifar10 archive", map[string][]byte{"cifar-10-batches-bin/data_batch_1.bin": ten}, "", dataset.Options{}, 40, 0, 0, "cifar10/train"},
		{"cifar100", map[string][]byte{"train.bin": hundred, "test.bin": hundred}, "", dataset.Options{}, 40, 0, 40, "cifar100/train"},
		{"one file", map[string][]byte{"some.bin": ten}, "some.bin", dataset.Options{TestFraction: .5}, 40, 0, 0, "cifar10"},
		{"one file of 100", map[string][]byte{"some.bin": hundred}, "some.bin", dataset.Options{}, 40, 0, 0, "cifar100"},
		{"one file by kind", map[string][]byte{"some.dat": ten}, "some.dat", dataset.Options{Kind: dataset.CIFAR10}, 40, 0, 0, "cifar10"},
		{"flat", flat, "", dataset.Options{ValFraction: .25, TestFraction: .25}, 8, 4, 4, "imagefolder/train"},
		{"split", split, "", dataset.Options{ValFraction: .5, TestFraction: .5}, 2, 3, 0, "imagefolder/train"},
		{"people", map[string][]byte{"bounding_box_train/0002_c1s1_000451_03.jpg": pic, "bounding_box_train/0007_c1s1_000451_03.jpg": pic,
			"bounding_box_train/0007_c2s1_000451_03.jpg": pic, "bounding_box_test/nonsense.jpg": nil, "query/nonsense.jpg": nil}, "", dataset.Options{TestFraction: .5, ValFraction: .5}, 2, 1, 0, "market1501/train"},
		{"people in the official archive", map[string][]byte{"Market-1501-v15.09.15/bounding_box_train/0002_c1s1_000451_03.jpg": pic, "readme.txt": nil}, "", dataset.Options{}, 1, 0, 0, "market1501/train"},
		{"people in one folder", map[string][]byte{"001_01_1.png": pic, "002_01_1.png": pic}, "", dataset.Options{}, 2, 0, 0, "pku-reid/train"},
		{"people by an own pattern", map[string][]byte{"bounding_box_train/p7-c1.png": pic, "bounding_box_train/p8-c1.png": pic}, "", dataset.Options{Pattern: `^p(?P<pid>\d+)-c(?P<camera>\d+)`}, 2, 0, 0, "market1501/train"},
		{"people by an own pattern, in one folder", map[string][]byte{"p7-c1.png": pic, "p8-c1.png": pic}, "", dataset.Options{Pattern: `^p(?P<pid>\d+)-c(?P<camera>\d+)`}, 2, 0, 0, "market1501/train"},
		{"MSMT17", map[string][]byte{"list_train.txt": []byte("0000/0000_000_01_0303morning_0008_0.jpg 0\n"), "train/0000/0000_000_01_0303morning_0008_0.jpg": pic,
			"test/0000/0000_000_01_0303morning_0008_0.jpg": nil, "test/0001/x": nil}, "", dataset.Options{}, 1, 0, 0, "msmt17/train"},
		{"list", map[string][]byte{"l/a.csv": []byte("path,label,split\n1.png,a,\n../2.png,b,\n4.png,b,val\n5.png,a,test\n3.png,a,test\n"), "l/1.png": pic, "2.png": pic, "l/4.png": pic}, "l/a.csv",
			dataset.Options{TestFraction: .5, ValFraction: .5}, 2, 1, 2, "list/train"},
		{"list without splits", map[string][]byte{"a.csv": []byte("label,path\na,1.png\na,1.png\nb,2.png\nb,2.png\nb,2.png\n"), "1.png": pic, "2.png": pic}, "a.csv",
			dataset.Options{TestFraction: .5}, 2, 0, 3, "list/train"},
		{"list by kind", map[string][]byte{"a.txt": []byte("path,label\n1.png,a\n"), "1.png": pic}, "a.txt", dataset.Options{Kind: dataset.List}, 1, 0, 0, "list/train"},
		{"kind among several", map[string][]byte{"train.bin": hundred, "a/1.png": pic}, "", dataset.Options{Kind: dataset.ImageFolder}, 1, 0, 0, "imagefolder/train"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := dataset.Open(filepath.Join(folder(t, tt.files), tt.file), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			size := func(ds dataset.Dataset) int {
				if ds == nil {
					return 0
				}
				return ds.Len()
			}
			if size(s.Train) != tt.train || size(s.Val) != tt.val || size(s.Test) != tt.test || s.Train.Name() != tt.is {
				t.Errorf("%s with %d, %d, %d samples; want %s with %d, %d, %d",
					s.Train.Name(), size(s.Train), size(s.Val), size(s.Test), tt.is, tt.train, tt.val, tt.test)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	images, labels := idx(t, 4)
	ten := records(4, 1)
	tests := []struct {
		name  string
		files map[string][]byte
		file  string
		opts  dataset.Options
		want  error
		says  []string
	}{
		{"missing", nil, "nowhere", dataset.Options{}, fs.ErrNotExist, []string{"nowhere"}},
		{"empty folder", nil, "", dataset.Options{}, dataset.ErrUnknown, []string{"train-images-idx3-ubyte", "data_batch_1.bin", "train.bin", "CLASS", "an empty folder"}},
		{"unknown folder", map[string][]byte{"a.csv": nil, "b.csv": nil}, "", dataset.Options{}, dataset.ErrUnknown, []string{"found a.csv, b.csv"}},
		{"unknown file", map[string][]byte{"a.dat": ten}, "a.dat", dataset.Options{}, dataset.ErrUnknown, []string{"a.dat", "*.csv", "*.bin"}},
		{"no list", map[string][]byte{"a.csv": ten}, "a.csv", dataset.Options{}, list.ErrColumns, []string{"a.csv", "row 1"}},
		{"list of a missing file", map[string][]byte{"a.csv": []byte("path,label\nx/1.png,a\n")}, "a.csv", dataset.Options{}, fs.ErrNotExist, []string{"a.csv: row 2", "x/1.png"}},
		{"list as folder", map[string][]byte{"a.csv": ten}, "", dataset.Options{Kind: dataset.List}, nil, []string{"give the file"}},
		{"market1501 as file", map[string][]byte{"a.csv": ten}, "a.csv", dataset.Options{Kind: dataset.Market1501}, nil, []string{"give the folder"}},
		{"no people", map[string][]byte{"a/1.png": nil}, "", dataset.Options{Kind: dataset.Market1501}, identities.ErrName, []string{"a/1.png", "market1501, msmt17"}},
		{"no person by this pattern", map[string][]byte{"bounding_box_train/0002_c1s1_000451_03.jpg": nil}, "", dataset.Options{Pattern: "pku-reid"}, identities.ErrName, []string{"0002_c1s1_000451_03.jpg", "pku-reid"}},
		{"a pattern for folders of classes", map[string][]byte{"cat/1.png": nil}, "", dataset.Options{Pattern: "pku-reid"}, identities.ErrName, []string{"cat/1.png", "pku-reid"}},
		{"mnist as file", map[string][]byte{"a.gz": images}, "a.gz", dataset.Options{Kind: dataset.MNIST}, nil, []string{"a.gz", "give the folder"}},
		{"truncated file", map[string][]byte{"a.bin": ten[:4000]}, "a.bin", dataset.Options{}, cifar.ErrSize, []string{"a.bin", "truncated"}},
		{"no labels", map[string][]byte{"train-images-idx3-ubyte": images}, "", dataset.Options{}, fs.ErrNotExist, []string{"train-labels-idx1-ubyte"}},
		{"bad label", map[string][]byte{"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": append(labels[:11:11], 77)}, "", dataset.Options{}, nil,
			[]string{"train-labels-idx1-ubyte", "record 3 ", "label 77"}},
		{"wrong kind", map[string][]byte{"data_batch_1.bin": ten}, "", dataset.Options{Kind: dataset.CIFAR100}, fs.ErrNotExist, []string{"train.bin"}},
		{"too few for val", map[string][]byte{"a.bin": ten}, "a.bin", dataset.Options{ValFraction: .5}, nil, []string{"a.bin", "validation split", "too few"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, tt.files)
			s, err := dataset.Open(filepath.Join(dir, tt.file), tt.opts)
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Fatalf("got error %v, want %v", err, tt.want)
			}
			for _, says := range append(tt.says, dir) {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("error %q does not say %q", err, says)
				}
			}
			if s.Train != nil || s.Test != nil {
				t.Error("data came with the error")
			}
		})
	}

	err := dataset.Options{Kind: "coco", Pattern: "(", ValFraction: -1, TestFraction: math.NaN()}.Validate()
	for _, says := range []string{`"coco"`, "bad name pattern", "cifar100", "validation fraction -1", "test fraction NaN"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %q does not say %q", err, says)
		}
	}
}

func TestOpenReal(t *testing.T) {
	s, err := dataset.Open(datatest.Shared(t, "cifar10-lossless4k.bin"), dataset.Options{ValFraction: dataset.DefaultValFraction})
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Len()+s.Val.Len() != 4000 || s.Val.Len() < 390 || s.Val.Len() > 410 {
		t.Errorf("%d and %d samples", s.Train.Len(), s.Val.Len())
	}
}
