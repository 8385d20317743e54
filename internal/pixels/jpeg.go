package pixels

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Limits on the scans of a JPEG file. A decoder goes over the whole picture for
// each, however few bytes it has. Encoders write about ten.
const (
	maxScans      = 128
	maxScanPixels = 1 << 30 // scans times pixels
)

// checkScans refuses a JPEG file whose scans would take too long.
func checkScans(data []byte, width, height int) error {
	scans := 0
	jpegSegments(data, func(marker byte, _ []byte) bool {
		if marker == markerSOS {
			scans++
		}
		return true
	})
	if scans > maxScans || scans*width*height > maxScanPixels {
		return fmt.Errorf("%w: a JPEG of %d scans over %dx%d pixels; the limit is %d scans, and %d pixels in all of them",
			ErrTooLarge, scans, width, height, maxScans, maxScanPixels)
	}
	return nil
}

// jpegEXIF finds the EXIF data before the first scan.
func jpegEXIF(data []byte) (exif []byte) {
	jpegSegments(data, func(marker byte, segment []byte) bool {
		if after, is := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); marker == markerAPP1 && is {
			exif = after
		}
		return exif == nil && marker != markerSOS
	})
	return exif
}

const (
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerAPP1 = 0xe1
)

// jpegSegments calls do for each segment with a length until it returns false,
// the file ends or makes no sense. What lies between segments, the data of scans,
// is skipped.
func jpegSegments(data []byte, do func(marker byte, segment []byte) bool) {
	for at := 2; ; {
		next := bytes.IndexByte(data[min(at, len(data)):], 0xff)
		if next < 0 || at+next+1 >= len(data) {
			return
		}
		at += next + 1
		switch marker := data[at]; {
		case marker == 0xff: // fill
			continue
		case marker == 0, marker == 0x01, marker >= 0xd0 && marker <= 0xd8: // data of a scan, or without a length
			at++
			continue
		case marker == markerEOI || at+3 > len(data):
			return
		default:
			size := int(binary.BigEndian.Uint16(data[at+1:]))
			if size < 2 || at+1+size > len(data) || !do(marker, data[at+3:at+1+size]) {
				return
			}
			at += 1 + size
		}
	}
}
