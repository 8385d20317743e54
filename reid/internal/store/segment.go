package store

import (
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"
)

const (
	// BlockRows is how many rows are verified together. A block never spans two
	// segments.
	BlockRows = 256
	// SegmentRows is how many rows are mapped together: whole pages of memory
	// whatever the number of features.
	SegmentRows = 16 * BlockRows
)

// segment is some rows of features in memory.
type segment struct {
	data     []float32
	verified [SegmentRows / BlockRows]atomic.Int32 // rows of each block
	reload   func(f *os.File, lo, hi int64) error  // bytes that were written; nil if they show by themselves
	unmap    func() error
}

// mapper gets a part of the file of features into memory.
type mapper func(f *os.File, offset int64, length int) (*segment, error)

// systemMapper maps a file where the system can, and reads it elsewhere.
func systemMapper(f *os.File, offset int64, length int) (*segment, error) {
	if !canMap || !littleEndian() || length%os.Getpagesize() != 0 {
		return readSegment(f, offset, length)
	}
	return mapSegment(f, offset, length)
}

// readSegment reads a part of the file.
func readSegment(f *os.File, offset int64, length int) (*segment, error) {
	s := &segment{data: make([]float32, length/4), unmap: func() error { return nil }}
	s.reload = func(f *os.File, lo, hi int64) error {
		b := make([]byte, hi-lo)
		if _, err := f.ReadAt(b, offset+lo); err != nil {
			return err
		}
		decodeFloats(s.data[lo/4:hi/4], b)
		return nil
	}
	return s, s.reload(f, 0, int64(length))
}

// verify reads the first rows of a block that were not read before, and returns
// the first row of the gallery whose checksum is wrong, or -1. sums are those of
// the segment, whose first row is that one.
func (s *segment) verify(block, rows, dim int, sums []uint32, first int) int {
	done := &s.verified[block]
	from := int(done.Load())
	for i := from; i < rows; i++ {
		at := block*BlockRows + i
		if rowSum(first+at, s.data[at*dim:(at+1)*dim]) != sums[at] {
			return first + at
		}
	}
	for int(done.Load()) < rows && !done.CompareAndSwap(int32(from), int32(rows)) {
		from = int(done.Load())
	}
	return -1
}

// rowSum is the checksum of the features of a row, which includes its number:
// rows in each other's place are damage, too.
func rowSum(row int, features []float32) uint32 {
	var b [8]byte
	little.PutUint64(b[:], uint64(row))
	return crc32.Update(checksum(b[:]), castagnoli, bytesOf(features))
}

// guard calls f. Reading a mapped file that somebody has cut meanwhile faults,
// which would end the program.
func (v *View) guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(interface {
			runtime.Error
			Addr() uintptr
		})
		if !ok {
			panic(r)
		}
		at, ours := v.locate(fault.Addr())
		if !ours {
			panic(r)
		}
		err = &Damage{File: v.store.file(v.file), Offset: at, Reason: fmt.Sprintf("the file cannot be read; it may have been cut while in use (%v)", fault)}
	}()
	return f()
}

// locate returns what place in the file of features is mapped at an address.
func (v *View) locate(address uintptr) (offset int64, ok bool) {
	for i, seg := range v.segments {
		size := uintptr(len(seg.data) * 4)
		if start := uintptr(unsafe.Pointer(unsafe.SliceData(seg.data))); address >= start && address < start+size {
			return int64(i)*int64(size) + int64(address-start), true
		}
	}
	return 0, false
}
