// Package checkpoint keeps training state in files that are whole or refused.
//
// A file holds a kind, a JSON header of the caller's, and named float32
// tensors:
//
//	8 bytes   "DMLCKPT\n"
//	uint32    format version, little endian like all numbers
//	uint32    length of the index
//	index     JSON: {"kind", "header", "tensors": [{"name", "shape"}]}
//	float32   the tensors' values, one after another in the index's order
//	32 bytes  SHA-256 of everything before
//
// Files are written beside their target, synced and renamed, so a reader finds
// the old file or the new one, never a part.
package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/deepmutual/dml/internal/files"
)

const (
	magic   = "DMLCKPT\n"
	version = 1
	// maxIndex bounds what is believed of a length field before the checksum
	// has vouched for it.
	maxIndex = 64 << 20
)

// Errors of Read; test with errors.Is.
var (
	// ErrFormat says that the file is not a checkpoint.
	ErrFormat = errors.New("not a checkpoint file")
	// ErrVersion says that a newer version of this program wrote the file.
	ErrVersion = errors.New("unsupported checkpoint version")
	// ErrDamaged says that the file is cut short or altered.
	ErrDamaged = errors.New("damaged checkpoint")
	// ErrKind says that the file holds something else than asked for.
	ErrKind = errors.New("checkpoint of another kind")
)

// Tensor is a named array.
type Tensor struct {
	Name  string    `json:"name"`
	Shape []int     `json:"shape"`
	Data  []float32 `json:"-"`
}

// File is the content of a checkpoint.
type File struct {
	Kind    string
	Header  any // marshalled to JSON
	Tensors []Tensor
}

type index struct {
	Kind    string          `json:"kind"`
	Header  json.RawMessage `json:"header"`
	Tensors []Tensor        `json:"tensors"`
}

// Write writes a checkpoint atomically.
func Write(path string, f *File) error {
	out, err := files.Create(path, 0o644)
	if err != nil {
		return err
	}
	if err := f.encode(out); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), out.Discard())
	}
	return out.Commit()
}

func (f *File) encode(out io.Writer) error {
	header, err := json.Marshal(f.Header)
	if err != nil {
		return err
	}
	for _, t := range f.Tensors {
		if n, err := size(t.Shape); err != nil || n != len(t.Data) {
			return fmt.Errorf("tensor %q has %d values for shape %v", t.Name, len(t.Data), t.Shape)
		}
	}
	idx, err := json.Marshal(index{f.Kind, header, f.Tensors})
	if err != nil {
		return err
	}
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(out, sum), 1<<16)
	w.WriteString(magic) // a bufio.Writer keeps its first error for Flush
	var word [4]byte
	for _, v := range []int{version, len(idx)} {
		binary.LittleEndian.PutUint32(word[:], uint32(v))
		w.Write(word[:])
	}
	w.Write(idx)
	for _, t := range f.Tensors {
		for _, v := range t.Data {
			binary.LittleEndian.PutUint32(word[:], math.Float32bits(v))
			w.Write(word[:])
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = out.Write(sum.Sum(nil))
	return err
}

// Read reads a checkpoint of that kind and unmarshals its header. The error
// names the file and wraps ErrFormat, ErrVersion, ErrDamaged or ErrKind, or is
// the file system's.
func Read(path, kind string, header any) ([]Tensor, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tensors, err := Decode(data, kind, header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tensors, nil
}

// Decode is Read for a file's bytes.
func Decode(data []byte, kind string, header any) ([]Tensor, error) {
	fixed := len(magic) + 8
	if len(data) < fixed || string(data[:len(magic)]) != magic {
		return nil, ErrFormat
	}
	if v := binary.LittleEndian.Uint32(data[len(magic):]); v != version {
		return nil, fmt.Errorf("%w %d; this program reads version %d", ErrVersion, v, version)
	}
	if len(data) < fixed+sha256.Size {
		return nil, fmt.Errorf("%w: cut short", ErrDamaged)
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) {
		return nil, fmt.Errorf("%w: the checksum does not match", ErrDamaged)
	}
	n := int(binary.LittleEndian.Uint32(data[len(magic)+4:]))
	if n > maxIndex || n > len(body)-fixed {
		return nil, fmt.Errorf("%w: index of %d bytes", ErrDamaged, n)
	}
	var idx index
	if err := json.Unmarshal(body[fixed:fixed+n], &idx); err != nil {
		return nil, fmt.Errorf("%w: index: %w", ErrDamaged, err)
	}
	if idx.Kind != kind {
		return nil, fmt.Errorf("%w: it holds %q, not %q", ErrKind, idx.Kind, kind)
	}
	if err := json.Unmarshal(idx.Header, header); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	values := body[fixed+n:]
	for i := range idx.Tensors {
		t := &idx.Tensors[i]
		n, err := size(t.Shape)
		if err != nil || n > len(values)/4 {
			return nil, fmt.Errorf("%w: tensor %q of shape %v does not fit the file", ErrDamaged, t.Name, t.Shape)
		}
		t.Data = make([]float32, n)
		for j := range t.Data {
			t.Data[j] = math.Float32frombits(binary.LittleEndian.Uint32(values[4*j:]))
		}
		values = values[4*n:]
	}
	if len(values) != 0 {
		return nil, fmt.Errorf("%w: %d bytes belong to no tensor", ErrDamaged, len(values))
	}
	return idx.Tensors, nil
}

// size returns the number of values of a shape.
func size(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 || (d > 0 && n > math.MaxInt32/d) {
			return 0, fmt.Errorf("shape %v is negative or too large", shape)
		}
		n *= d
	}
	return n, nil
}
