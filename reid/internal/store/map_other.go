//go:build !(linux || darwin || freebsd || netbsd || dragonfly)

package store

import "os"

const canMap = false

var mapSegment mapper = func(f *os.File, offset int64, length int) (*segment, error) { return readSegment(f, offset, length) }
