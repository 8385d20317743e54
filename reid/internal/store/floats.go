package store

import (
	"math"
	"unsafe"
)

// bytesOf returns the bytes of v as they are in files, in the memory of v where
// the machine stores numbers like that.
func bytesOf(v []float32) []byte {
	if littleEndian() {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*4)
	}
	b := make([]byte, 0, len(v)*4)
	for _, x := range v {
		b = little.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func littleEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}

func decodeFloats(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(little.Uint32(b[4*i:]))
	}
}
