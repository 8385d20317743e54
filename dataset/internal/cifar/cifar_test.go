package cifar_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/dataset/internal/cifar"
	"github.com/deepmutual/dml/dataset/internal/raw"
)

// record makes a record whose red, green and blue at pixel i are i, i+1, i+2.
func record(labels ...uint8) []byte {
	b := slices.Clone(labels)
	for c := range 3 {
		for i := range 1024 {
			b = append(b, uint8(i+c))
		}
	}
	return b
}

func files(pairs map[string][]byte) fstest.MapFS {
	fsys := make(fstest.MapFS)
	for name, data := range pairs {
		fsys[name] = &fstest.MapFile{Data: data}
	}
	return fsys
}

func TestRead(t *testing.T) {
	names10 := "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
	var names100 strings.Builder
	for i := range 100 {
		fmt.Fprintf(&names100, "fine%d\r\n", i)
	}
	tests := []struct {
		name        string
		kind        cifar.Kind
		fsys        fs.FS
		train, test []int // labels
		class       string
	}{
		{"cifar10", cifar.CIFAR10, files(map[string][]byte{
			"data_batch_1.bin": append(record(3), record(9)...), "data_batch_2.bin": record(0),
			"test_batch.bin": record(7), "batches.meta.txt": []byte(names10),
		}), []int{3, 9, 0}, []int{7}, "cat"},
		{"cifar10 without names and test", cifar.CIFAR10, files(map[string][]byte{"data_batch_1.bin": record(3)}), []int{3}, nil, "3"},
		{"cifar100", cifar.CIFAR100, files(map[string][]byte{
			"train.bin": append(record(19, 3), record(0, 99)...), "test.bin": record(4, 5),
			"fine_label_names.txt": []byte(names100.String()),
		}), []int{3, 99}, []int{5}, "fine3"},
		{"cifar100 without names", cifar.CIFAR100, files(map[string][]byte{"train.bin": record(1, 2)}), []int{2}, nil, "3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cifar.Detect(tt.fsys); got != tt.kind {
				t.Errorf("detected %v", got)
			}
			s, err := cifar.Read(tt.fsys, tt.kind)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Train.Labels, tt.train) || (s.Test == nil) != (tt.test == nil) || s.Test != nil && !slices.Equal(s.Test.Labels, tt.test) {
				t.Errorf("labels %v, %v, want %v, %v", s.Train.Labels, s.Test, tt.train, tt.test)
			}
			if got := s.Classes[3]; got != tt.class {
				t.Errorf("class 3 is %q, want %q", got, tt.class)
			}
			if s.Train.Channels != 3 || s.Train.Width != 32 || s.Train.Height != 32 || len(s.Train.Pix) != 3072*s.Train.Len() {
				t.Fatalf("images of %dx%d, %d bytes", s.Train.Width, s.Train.Height, len(s.Train.Pix))
			}
			if got := s.Train.Pix[3072*(s.Train.Len()-1):][3*100 : 3*101]; !slices.Equal(got, []uint8{100, 101, 102}) {
				t.Errorf("pixel 100 is %v", got)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name  string
		kind  cifar.Kind
		files map[string][]byte
		want  error
		says  []string
	}{
		{"nothing", cifar.CIFAR10, nil, fs.ErrNotExist, []string{"data_batch_1.bin"}},
		{"nothing 100", cifar.CIFAR100, nil, fs.ErrNotExist, []string{"train.bin"}},
		{"gap", cifar.CIFAR10, map[string][]byte{"data_batch_1.bin": record(0), "data_batch_3.bin": record(0)}, fs.ErrNotExist, []string{"data_batch_2.bin"}},
		{"truncated", cifar.CIFAR10, map[string][]byte{"data_batch_1.bin": append(record(0), record(1)[:3072]...)}, cifar.ErrSize,
			[]string{"data_batch_1.bin", "record 1 ", "3072 bytes of 3073"}},
		{"label", cifar.CIFAR10, map[string][]byte{"data_batch_1.bin": append(record(9), record(10)...)}, cifar.ErrLabel,
			[]string{"data_batch_1.bin", "record 1 ", "10 of 10 classes"}},
		{"fine label", cifar.CIFAR100, map[string][]byte{"train.bin": record(19, 100)}, cifar.ErrLabel, []string{"train.bin", "100 of 100"}},
		{"coarse label", cifar.CIFAR100, map[string][]byte{"train.bin": record(20, 0)}, cifar.ErrLabel, []string{"train.bin", "coarse label 20"}},
		{"empty", cifar.CIFAR100, map[string][]byte{"train.bin": {}}, cifar.ErrEmpty, []string{"train.bin"}},
		{"bad test file", cifar.CIFAR100, map[string][]byte{"train.bin": record(0, 0), "test.bin": record(0, 0)[:5]}, cifar.ErrSize, []string{"test.bin", "record 0 "}},
		{"names", cifar.CIFAR10, map[string][]byte{"data_batch_1.bin": record(0), "batches.meta.txt": []byte("cat\ndog\n")}, nil,
			[]string{"batches.meta.txt", "2 class names"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := cifar.Read(files(tt.files), tt.kind)
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Fatalf("got error %v, want %v", err, tt.want)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("error %q does not say %q", err, says)
				}
			}
			if s.Train != nil || s.Test != nil {
				t.Error("data came with the error")
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	fsys := files(map[string][]byte{
		"ten.bin": append(record(1), record(2)...), "hundred.bin": record(3, 44), "odd.bin": record(1)[:3000], "empty.bin": {},
	})
	for name, want := range map[string]string{"ten.bin": "cifar10", "hundred.bin": "cifar100"} {
		kind, err := cifar.KindOf(fsys, name)
		if err != nil || kind.String() != want {
			t.Errorf("%s: %v, error %v", name, kind, err)
		}
		if data, err := cifar.ReadFile(fsys, name, kind); err != nil || data.Train.Name != want {
			t.Errorf("%s: %v, error %v", name, data, err)
		}
	}
	for name, want := range map[string]error{"odd.bin": cifar.ErrSize, "empty.bin": cifar.ErrEmpty, "none.bin": fs.ErrNotExist} {
		kind, err := cifar.KindOf(fsys, name)
		if err == nil {
			_, err = cifar.ReadFile(fsys, name, kind)
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
	}
	if _, err := cifar.ReadFile(fsys, "ten.bin", cifar.CIFAR100); err == nil {
		t.Error("CIFAR-10 passed as CIFAR-100")
	}
}

func TestRealCIFAR(t *testing.T) {
	path := datatest.Shared(t, "cifar10-lossless4k.bin")
	data, err := cifar.ReadFile(os.DirFS(filepath.Dir(path)), filepath.Base(path), cifar.CIFAR10)
	if err != nil {
		t.Fatal(err)
	}
	ds := data.Train
	if ds.Len() != 4000 || ds.Name != "cifar10" || ds.Labels[0] != 6 || ds.Labels[1] != 9 {
		t.Errorf("%d samples of %s starting with classes %d, %d; want 4000, frog (6), truck (9)",
			ds.Len(), ds.Name, ds.Labels[0], ds.Labels[1])
	}
	// The first pixels of CIFAR-10's first training image, the frog.
	if !slices.Equal(ds.Pix[:6], []uint8{59, 62, 63, 43, 46, 45}) {
		t.Errorf("first pixels %v", ds.Pix[:6])
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(record(3), false)
	f.Add(record(3, 70), true)
	f.Add(record(255), false)
	f.Fuzz(func(t *testing.T, data []byte, hundred bool) {
		kind := cifar.CIFAR10
		if hundred {
			kind = cifar.CIFAR100
		}
		pix, labels, err := cifar.Decode(bytes.NewReader(data), kind, "fuzz.bin")
		if err != nil {
			var bad *raw.Error
			if !errors.As(err, &bad) || bad.File != "fuzz.bin" {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if len(labels)*kind.RecordSize() != len(data) || len(pix) != 3072*len(labels) {
			t.Errorf("%d bytes gave %d labels and %d pixel bytes", len(data), len(labels), len(pix))
		}
		for i, label := range labels {
			r := data[i*kind.RecordSize():]
			planes := r[kind.RecordSize()-3072:]
			if int(label) >= kind.Classes() || pix[3072*i+4] != planes[1024+1] {
				t.Errorf("record %d is wrong", i)
			}
		}
	})
}
