package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

type header struct {
	Epoch int `json:"epoch"`
}

func sample() *File {
	return &File{Kind: "student", Header: header{3}, Tensors: []Tensor{
		{Name: "w", Shape: []int{2, 2}, Data: []float32{1, -2, 3.5, 0}},
		{Name: "scalar", Shape: []int{}, Data: []float32{7}},
		{Name: "empty", Shape: []int{0}, Data: []float32{}},
	}}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ckpt")
	if err := Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	var h header
	got, err := Read(path, "student", &h)
	if err != nil {
		t.Fatal(err)
	}
	if h.Epoch != 3 || !reflect.DeepEqual(got, sample().Tensors) {
		t.Errorf("header %+v, tensors %+v", h, got)
	}
	if _, err := Read(path, "other", &h); !errors.Is(err, ErrKind) {
		t.Errorf("another kind: %v", err)
	}
}

func TestEveryDamageIsRefused(t *testing.T) {
	var buf bytes.Buffer
	if err := sample().encode(&buf); err != nil {
		t.Fatal(err)
	}
	whole := buf.Bytes()
	var h header
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x40
		_, err := Decode(bad, "student", &h)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrVersion) {
			t.Errorf("byte %d altered: %v", i, err)
		}
		if _, err := Decode(whole[:i], "student", &h); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

func TestFaultyContentLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	f := sample()
	f.Tensors[0].Data = f.Tensors[0].Data[:3]
	if err := Write(filepath.Join(dir, "a.ckpt"), f); err == nil {
		t.Error("a tensor with too few values was written")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// FuzzDecode mutates the content below a checksum that is always right, so that
// what the checksum cannot vouch for is reached.
func FuzzDecode(f *testing.F) {
	var buf bytes.Buffer
	if err := sample().encode(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes()[:buf.Len()-sha256.Size])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		var h header
		tensors, err := Decode(append(bytes.Clone(body), sum[:]...), "student", &h)
		if err != nil {
			return
		}
		values := 0
		for _, v := range tensors {
			values += len(v.Data)
		}
		if values*4 > len(body) {
			t.Errorf("%d values from %d bytes", values, len(body))
		}
	})
}
