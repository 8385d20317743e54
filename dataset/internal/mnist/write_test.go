package mnist

import (
	"encoding/binary"
	"fmt"
	"io"
)

// WriteImages writes m as an IDX3 file.
func WriteImages(w io.Writer, m Images) error {
	if len(m.Pix) != m.Count*m.Rows*m.Cols {
		return fmt.Errorf("%d bytes for %d images of %dx%d", len(m.Pix), m.Count, m.Rows, m.Cols)
	}
	return write(w, m.Pix, magicImages, m.Count, m.Rows, m.Cols)
}

// WriteLabels writes labels as an IDX1 file.
func WriteLabels(w io.Writer, labels []uint8) error {
	return write(w, labels, magicLabels, len(labels))
}

func write(w io.Writer, data []uint8, magic uint32, dims ...int) error {
	head := binary.BigEndian.AppendUint32(nil, magic)
	for _, d := range dims {
		head = binary.BigEndian.AppendUint32(head, uint32(d))
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
