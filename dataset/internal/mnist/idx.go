package mnist

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	magicLabels = 0x00000801 // unsigned bytes, 1 dimension
	magicImages = 0x00000803 // unsigned bytes, 3 dimensions

	// maxSide and maxBytes bound what a header may announce. MNIST has 28 and
	// 47,040,000.
	maxSide  = 1 << 12
	maxBytes = 1 << 31
)

// What can be wrong with an IDX file; test with errors.Is. A file cut short
// wraps io.ErrUnexpectedEOF.
var (
	ErrMagic  = errors.New("wrong magic number")
	ErrHeader = errors.New("impossible header")
	ErrExcess = errors.New("data after the end")
)

// Images are the contents of an IDX3 file: Count pictures of Rows x Cols grey
// pixels, one after another, rows from the top.
type Images struct {
	Count, Rows, Cols int
	Pix               []uint8
}

// ReadImages reads an IDX3 file of unsigned bytes, gzipped or plain as its
// first bytes say. What the header announces is checked against limits and
// against the data, and never allocated on its word alone.
func ReadImages(r io.Reader) (Images, error) {
	br, err := plain(r)
	if err != nil {
		return Images{}, err
	}
	dims, err := header(br, magicImages, 3, "images")
	if err != nil {
		return Images{}, err
	}
	count, rows, cols := dims[0], dims[1], dims[2]
	if rows < 1 || cols < 1 || rows > maxSide || cols > maxSide || count > maxBytes/(rows*cols) {
		return Images{}, fmt.Errorf("%w: %d images of %dx%d", ErrHeader, count, rows, cols)
	}
	pix, err := body(br, count*rows*cols)
	if err != nil {
		return Images{}, fmt.Errorf("%d images of %dx%d announced: %w", count, rows, cols, err)
	}
	return Images{Count: int(count), Rows: int(rows), Cols: int(cols), Pix: pix}, nil
}

// ReadLabels reads an IDX1 file of unsigned bytes, as ReadImages does.
func ReadLabels(r io.Reader) ([]uint8, error) {
	br, err := plain(r)
	if err != nil {
		return nil, err
	}
	dims, err := header(br, magicLabels, 1, "labels")
	if err != nil {
		return nil, err
	}
	if dims[0] > maxBytes {
		return nil, fmt.Errorf("%w: %d labels", ErrHeader, dims[0])
	}
	labels, err := body(br, dims[0])
	if err != nil {
		return nil, fmt.Errorf("%d labels announced: %w", dims[0], err)
	}
	return labels, nil
}

// plain undoes gzip where r starts with its magic number.
func plain(r io.Reader) (io.Reader, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	head, err := br.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return br, nil
	}
	zr, err := gzip.NewReader(br)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return zr, nil
}

// header reads the magic number and the dimensions.
func header(r io.Reader, magic uint32, dims int, what string) ([]int64, error) {
	b := make([]byte, 4+4*dims)
	if n, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("header is %d bytes of %d: %w", n, len(b), err)
	}
	if got := binary.BigEndian.Uint32(b); got != magic {
		return nil, fmt.Errorf("%w %#08x: IDX %s have %#08x", ErrMagic, got, what, magic)
	}
	out := make([]int64, dims)
	for i := range out {
		out[i] = int64(binary.BigEndian.Uint32(b[4+4*i:]))
	}
	return out, nil
}

// body reads exactly size bytes up to the end of r.
func body(r io.Reader, size int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, size+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("after %d bytes of %d: %w", len(data), size, err)
	case int64(len(data)) < size:
		return nil, fmt.Errorf("%d bytes of %d: %w", len(data), size, io.ErrUnexpectedEOF)
	case int64(len(data)) > size:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrExcess, size)
	}
	return data, nil
}
