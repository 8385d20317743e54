package features

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/x448/float16"

	"github.com/deepmutual/dml/internal/files"
)

// Matrix is feature vectors, row after row, [Rows x Dim].
type Matrix struct {
	Data      []float32
	Rows, Dim int
}

// ErrNPY is wrapped by every fault of a .npy file's content.
var ErrNPY = errors.New("bad .npy file")

// ReadNPY reads a NumPy file of a matrix of float16, float32 or float64, in
// either byte order and either order of elements. (The format is that of NumPy
// Enhancement Proposal 1, versions 1 to 3.)
func ReadNPY(path string) (Matrix, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Matrix{}, err
	}
	if !info.Mode().IsRegular() {
		return Matrix{}, fmt.Errorf("%s: %w: it is no regular file", path, ErrNPY)
	}
	f, err := os.Open(path)
	if err != nil {
		return Matrix{}, err
	}
	defer f.Close()
	m, err := decodeNPY(f, info.Size())
	if err != nil {
		return Matrix{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

const (
	magic = "\x93NUMPY"
	// largestHeader bounds the header of a file: that of a matrix has some 60
	// bytes, and NumPy itself refuses more than 10,000.
	largestHeader = 10_000
)

func npyf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrNPY}, args...)...)
}

// decodeNPY reads size bytes. Memory follows size, whatever the header claims.
func decodeNPY(r io.Reader, size int64) (Matrix, error) {
	start := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, start); err != nil || string(start[:len(magic)]) != magic {
		return Matrix{}, errors.Join(npyf("it does not start as NumPy's files do; write it with numpy.save"), notShort(err))
	}
	version := start[len(magic)]
	field := make([]byte, 2)
	switch version {
	case 1:
	case 2, 3:
		field = make([]byte, 4)
	default:
		return Matrix{}, npyf("version %d of the format is unknown", version)
	}
	if _, err := io.ReadFull(r, field); err != nil {
		return Matrix{}, errors.Join(npyf("the header is cut off"), notShort(err))
	}
	length := binary.LittleEndian.Uint32(append(slices.Clone(field), 0, 0)[:4])
	if length > largestHeader {
		return Matrix{}, npyf("a header of %d bytes is too large for a matrix", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return Matrix{}, errors.Join(npyf("the header is cut off"), notShort(err))
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return Matrix{}, err
	}
	rest := size - int64(len(start)+len(field)+len(text))
	return h.read(r, rest)
}

// notShort keeps errors of reading other than that the file ends.
func notShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// header is what the header of a file says.
type header struct {
	kind    string // "f2", "f4" or "f8"
	order   binary.ByteOrder
	fortran bool // columns after columns
	shape   []int64
}

// parseHeader reads the literal of a Python dictionary, such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
func parseHeader(text string) (header, error) {
	var h header
	body, opened := strings.CutPrefix(strings.TrimSpace(text), "{")
	body, closed := strings.CutSuffix(body, "}")
	if !opened || !closed {
		return h, npyf("the header %.80q is no dictionary", text)
	}
	seen := make(map[string]bool)
	for body = strings.TrimSpace(body); body != ""; {
		key, value, rest, ok := nextEntry(body)
		if !ok {
			return h, npyf("the header is not understood at %.80q", body)
		}
		if seen[key] {
			return h, npyf("the header says %q twice", key)
		}
		seen[key] = true
		if err := h.set(key, value); err != nil {
			return h, err
		}
		body = rest
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return h, npyf("the header says no %q", key)
		}
	}
	return h, nil
}

// nextEntry cuts 'key': value, off a dictionary's body.
func nextEntry(body string) (key, value, rest string, ok bool) {
	quote := body[:1]
	if quote != "'" && quote != `"` {
		return "", "", "", false
	}
	key, rest, ok = strings.Cut(body[1:], quote)
	if !ok {
		return "", "", "", false
	}
	rest, ok = strings.CutPrefix(strings.TrimSpace(rest), ":")
	if !ok {
		return "", "", "", false
	}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "(") { // a tuple has commas of its own
		value, rest, ok = strings.Cut(rest, ")")
		if !ok {
			return "", "", "", false
		}
		value += ")"
		rest = strings.TrimSpace(rest)
		if rest != "" && !strings.HasPrefix(rest, ",") {
			return "", "", "", false
		}
		rest = strings.TrimPrefix(rest, ",")
	} else {
		value, rest, _ = strings.Cut(rest, ",")
	}
	return key, strings.TrimSpace(value), strings.TrimSpace(rest), true
}

func (h *header) set(key, value string) error {
	switch key {
	case "descr":
		return h.setType(value)
	case "fortran_order":
		if value != "True" && value != "False" {
			return npyf("fortran_order is %.40q", value)
		}
		h.fortran = value == "True"
	case "shape":
		inner, opened := strings.CutPrefix(value, "(")
		inner, closed := strings.CutSuffix(inner, ")")
		if !opened || !closed {
			return npyf("the shape %.40q is no tuple", value)
		}
		for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(inner), ","), ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
			if err != nil || n < 0 {
				return npyf("the shape %.40q is not understood", value)
			}
			h.shape = append(h.shape, n)
		}
	default:
		return npyf("the header says an unknown %.40q", key)
	}
	return nil
}

func (h *header) setType(value string) error {
	name := strings.Trim(value, `'"`)
	h.order = binary.LittleEndian
	switch {
	case strings.HasPrefix(name, ">"):
		h.order = binary.BigEndian
	case strings.HasPrefix(name, "<"):
	default:
		return npyf("elements of type %.40q; use float16, float32 or float64", name)
	}
	h.kind = name[1:]
	if width(h.kind) == 0 {
		return npyf("elements of type %.40q; use float16, float32 or float64", name)
	}
	return nil
}

// width is the bytes of an element.
func width(kind string) int64 {
	switch kind {
	case "f2":
		return 2
	case "f4":
		return 4
	case "f8":
		return 8
	}
	return 0
}

// read reads the elements, for which so many bytes are left.
func (h header) read(r io.Reader, bytesLeft int64) (Matrix, error) {
	if len(h.shape) != 2 {
		return Matrix{}, npyf("an array of %d dimensions; use a matrix of a row an image", len(h.shape))
	}
	rows, dim := h.shape[0], h.shape[1]
	if rows == 0 || dim == 0 {
		return Matrix{}, npyf("a matrix of %d x %d has no elements", rows, dim)
	}
	elements := max(0, bytesLeft) / width(h.kind)
	if dim > elements/rows || rows*dim*width(h.kind) != bytesLeft {
		return Matrix{}, npyf("%d x %d elements of %d bytes are announced, and %d bytes are there: the file is cut off or damaged", rows, dim, width(h.kind), max(0, bytesLeft))
	}
	m := Matrix{make([]float32, rows*dim), int(rows), int(dim)}
	if err := h.decode(r, m.Data); err != nil {
		return Matrix{}, errors.Join(npyf("its end is missing"), notShort(err))
	}
	if h.fortran && rows > 1 && dim > 1 {
		columns := m.Data
		m.Data = make([]float32, len(columns))
		for i := range m.Rows {
			for k := range m.Dim {
				m.Data[i*m.Dim+k] = columns[k*m.Rows+i]
			}
		}
	}
	return m, nil
}

// decode fills dst.
func (h header) decode(r io.Reader, dst []float32) error {
	size := int(width(h.kind))
	buf := make([]byte, min(len(dst)*size, 1<<20))
	for len(dst) > 0 {
		n := min(len(dst), len(buf)/size)
		raw := buf[:n*size]
		if _, err := io.ReadFull(r, raw); err != nil {
			return err
		}
		for i := range n {
			at := raw[i*size:]
			switch size {
			case 2:
				dst[i] = float16.Frombits(h.order.Uint16(at)).Float32()
			case 4:
				dst[i] = math.Float32frombits(h.order.Uint32(at))
			default:
				dst[i] = float32(math.Float64frombits(h.order.Uint64(at)))
			}
		}
		dst = dst[n:]
	}
	return nil
}

// WriteNPY writes a matrix as float32. The file is whole or absent.
func WriteNPY(path string, m Matrix) error {
	if m.Rows < 1 || m.Dim < 1 || len(m.Data) != m.Rows*m.Dim {
		return fmt.Errorf("%s: %w: %d numbers are no matrix of %d x %d", path, ErrNPY, len(m.Data), m.Rows, m.Dim)
	}
	f, err := files.Create(path, 0o644)
	if err != nil {
		return err
	}
	if err := encodeNPY(f, m); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Discard())
	}
	return f.Commit()
}

// CopyNPY writes a matrix whose float32 numbers r gives row after row, the lowest
// byte first, without holding them. The file is whole or absent.
func CopyNPY(path string, rows, dim int, r io.Reader) error {
	if rows < 1 || dim < 1 {
		return fmt.Errorf("%s: %w: %d x %d numbers", path, ErrNPY, rows, dim)
	}
	f, err := files.Create(path, 0o644)
	if err != nil {
		return err
	}
	size := int64(rows) * int64(dim) * 4
	_, err = f.Write(npyHeader(rows, dim))
	if err == nil {
		var n int64
		if n, err = io.Copy(f, io.LimitReader(r, size)); err == nil && n < size {
			err = fmt.Errorf("%w: %d bytes are no matrix of %d x %d", ErrNPY, n, rows, dim)
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Discard())
	}
	return f.Commit()
}

// npyHeader is what precedes a matrix of float32 numbers.
func npyHeader(rows, dim int) []byte {
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, dim)
	// The elements start at a multiple of 64 bytes, after a line's end.
	const before = len(magic) + 4
	text += strings.Repeat(" ", 63-(before+len(text))%64) + "\n"
	var head bytes.Buffer
	head.WriteString(magic + "\x01\x00")
	head.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(text))))
	head.WriteString(text)
	return head.Bytes()
}

func encodeNPY(w io.Writer, m Matrix) error {
	if _, err := w.Write(npyHeader(m.Rows, m.Dim)); err != nil {
		return err
	}
	buf := make([]byte, 0, 1<<16)
	for rest := m.Data; len(rest) > 0; {
		n := min(len(rest), cap(buf)/4)
		buf = buf[:0]
		for _, v := range rest[:n] {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
