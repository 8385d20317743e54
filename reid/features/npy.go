package features

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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
	n, err := readNumbers(path, "", LoadOptions{})
	return Matrix{n.single, n.rows, n.dim}, err
}

// numbers are a matrix, in one of two types.
type numbers struct {
	single    []float32
	double    []float64
	rows, dim int
	unmap     func() error // nil where they are held in memory
}

// readNumbers reads a NumPy file, or maps it into memory, as the options say.
// Where a checksum is given, its SHA-256 must be that.
func readNumbers(path, checksum string, opts LoadOptions) (n numbers, err error) {
	fail := func(err error) (numbers, error) { return numbers{}, fmt.Errorf("%s: %w", path, err) }
	info, err := os.Stat(path)
	if err != nil {
		return n, err
	}
	if !info.Mode().IsRegular() {
		return fail(npyf("it is not a regular file"))
	}
	f, err := os.Open(path)
	if err != nil {
		return n, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	sum := sha256.New()
	var in io.Reader = f
	if checksum != "" {
		in = io.TeeReader(f, sum)
	}
	h, start, err := readHeader(in)
	if err != nil {
		return fail(err)
	}
	if err := h.check(info.Size() - start); err != nil {
		return fail(err)
	}
	if opts.MapFrom > 0 && info.Size() >= opts.MapFrom && h.mappable(start) {
		data, unmap, err := mapFile(f, info.Size())
		if err != nil {
			return fail(err)
		}
		n = numbers{single: floatsOf(data[start:]), rows: int(h.shape[0]), dim: int(h.shape[1]), unmap: unmap}
		if checksum != "" {
			sum.Reset()
			sum.Write(data)
		}
	} else if n, err = h.read(in, opts.Float64); err != nil {
		return fail(err)
	}
	if checksum != "" && hex.EncodeToString(sum.Sum(nil)) != checksum {
		return fail(errors.Join(ErrChecksum, n.close()))
	}
	return n, nil
}

func (n numbers) close() error {
	if n.unmap == nil {
		return nil
	}
	return n.unmap()
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

// readHeader reads what precedes the elements, and tells its length.
func readHeader(r io.Reader) (header, int64, error) {
	fail := func(err ...error) (header, int64, error) { return header{}, 0, errors.Join(err...) }
	start := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, start); err != nil || string(start[:len(magic)]) != magic {
		return fail(npyf("it does not start as NumPy's files do; write it with numpy.save"), notShort(err))
	}
	version := start[len(magic)]
	field := make([]byte, 2)
	switch version {
	case 1:
	case 2, 3:
		field = make([]byte, 4)
	default:
		return fail(npyf("version %d of the format is unknown", version))
	}
	if _, err := io.ReadFull(r, field); err != nil {
		return fail(npyf("the header is cut off"), notShort(err))
	}
	length := binary.LittleEndian.Uint32(append(slices.Clone(field), 0, 0)[:4])
	if length > largestHeader {
		return fail(npyf("a header of %d bytes is too large for a matrix", length))
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return fail(npyf("the header is cut off"), notShort(err))
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return fail(err)
	}
	return h, int64(len(start) + len(field) + len(text)), nil
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
		return h, npyf("the header %.80q is not a dictionary", text)
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
			return npyf("the shape %.40q is not a tuple", value)
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

// check tells whether so many bytes are the elements. Memory follows them,
// whatever the header claims.
func (h header) check(bytes int64) error {
	if len(h.shape) != 2 {
		return npyf("an array of %d dimensions; use a matrix of a row an image", len(h.shape))
	}
	rows, dim := h.shape[0], h.shape[1]
	if rows == 0 || dim == 0 {
		return npyf("a matrix of %d x %d has no elements", rows, dim)
	}
	elements := max(0, bytes) / width(h.kind)
	if dim > elements/rows || rows*dim*width(h.kind) != bytes {
		return npyf("%d x %d elements of %d bytes are announced, and %d bytes are there: the file is cut off or damaged", rows, dim, width(h.kind), max(0, bytes))
	}
	return nil
}

// mappable tells whether the elements, from byte start on, are in a file as in
// memory.
func (h header) mappable(start int64) bool {
	return canMap && h.kind == "f4" && h.order == binary.LittleEndian && start%4 == 0 && (!h.fortran || h.shape[0] == 1 || h.shape[1] == 1)
}

// read reads the elements; with double, those of float64 as they are.
func (h header) read(r io.Reader, double bool) (n numbers, err error) {
	n.rows, n.dim = int(h.shape[0]), int(h.shape[1])
	if double && h.kind == "f8" {
		n.double, err = elements[float64](h, r)
	} else {
		n.single, err = elements[float32](h, r)
	}
	if err != nil {
		return numbers{}, errors.Join(npyf("its end is missing"), notShort(err))
	}
	return n, nil
}

// elements reads all elements, row after row.
func elements[T float32 | float64](h header, r io.Reader) ([]T, error) {
	rows, dim := int(h.shape[0]), int(h.shape[1])
	data := make([]T, rows*dim)
	if err := fill(h, r, data); err != nil {
		return nil, err
	}
	if h.fortran && rows > 1 && dim > 1 {
		columns := data
		data = make([]T, len(columns))
		for i := range rows {
			for k := range dim {
				data[i*dim+k] = columns[k*rows+i]
			}
		}
	}
	return data, nil
}

// fill reads dst.
func fill[T float32 | float64](h header, r io.Reader, dst []T) error {
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
				dst[i] = T(float16.Frombits(h.order.Uint16(at)).Float32())
			case 4:
				dst[i] = T(math.Float32frombits(h.order.Uint32(at)))
			default:
				dst[i] = T(math.Float64frombits(h.order.Uint64(at)))
			}
		}
		dst = dst[n:]
	}
	return nil
}

// WriteNPY writes a matrix as float32. The file is whole or absent.
func WriteNPY(path string, m Matrix) error {
	if len(m.Data) != m.Rows*m.Dim {
		return fmt.Errorf("%s: %w: %d numbers are not a matrix of %d x %d", path, ErrNPY, len(m.Data), m.Rows, m.Dim)
	}
	_, err := writeRows(path, m.Rows, m.Dim, func(i int, row []float32) error {
		copy(row, m.Data[i*m.Dim:])
		return nil
	})
	return err
}

// writeRows writes a matrix whose rows are set by row one by one, and returns the
// file's SHA-256. The file is whole or absent.
func writeRows(path string, rows, dim int, row func(i int, to []float32) error) (checksum string, err error) {
	if rows < 1 || dim < 1 {
		return "", fmt.Errorf("%s: %w: %d x %d numbers", path, ErrNPY, rows, dim)
	}
	f, err := files.Create(path, 0o644)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<16)
	if err := encodeRows(out, rows, dim, row); err != nil {
		return "", errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Discard())
	}
	return hex.EncodeToString(sum.Sum(nil)), f.Commit()
}

func encodeRows(out *bufio.Writer, rows, dim int, row func(i int, to []float32) error) error {
	if _, err := out.Write(npyHeader(rows, dim)); err != nil {
		return err
	}
	values, buf := make([]float32, dim), make([]byte, 0, 4*dim)
	for i := range rows {
		if err := row(i, values); err != nil {
			return err
		}
		buf = buf[:0]
		for _, v := range values {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
	return out.Flush()
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
