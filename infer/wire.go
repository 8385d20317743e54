package infer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// checkModel tells whether the bytes look like an ONNX model: a protobuf
// message whose fields end where the bytes end, with a graph (field 7) among
// them. It catches other files and truncated ones before ONNX Runtime sees
// them, reading a few bytes of each field only.
func checkModel(r io.ReaderAt, size int64) error {
	const graphField = 7
	var at int64
	varint := func() (uint64, error) {
		var buf [binary.MaxVarintLen64]byte
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		v, used := binary.Uvarint(buf[:n])
		if used <= 0 {
			return 0, fmt.Errorf("%w: broken at byte %d of %d", ErrNotONNX, at, size)
		}
		at += int64(used)
		return v, nil
	}
	if size == 0 {
		return fmt.Errorf("%w: it is empty", ErrNotONNX)
	}
	graph := false
	for at < size {
		start := at
		key, err := varint()
		if err != nil {
			return err
		}
		field, length := key>>3, uint64(0)
		switch key & 7 {
		case 0:
			if _, err := varint(); err != nil {
				return err
			}
		case 1:
			length = 8
		case 2:
			if length, err = varint(); err != nil {
				return err
			}
			graph = graph || field == graphField
		case 5:
			length = 4
		default:
			return fmt.Errorf("%w: broken at byte %d of %d", ErrNotONNX, start, size)
		}
		if field == 0 {
			return fmt.Errorf("%w: broken at byte %d of %d", ErrNotONNX, start, size)
		}
		if length > uint64(size-at) {
			return fmt.Errorf("%w: truncated: byte %d starts %d bytes, %d are left", ErrNotONNX, start, length, size-at)
		}
		at += int64(length)
	}
	if !graph {
		return fmt.Errorf("%w: it holds no graph", ErrNotONNX)
	}
	return nil
}
