package pixels

import "encoding/binary"

// orientation reads tag 0x0112 of the first directory of a TIFF file, as EXIF
// data is one: how the picture must be turned to be upright, 1 to 8. It is 1,
// upright, where there is no such tag, or nothing that can be read.
//
// Source: TIFF 6.0, pages 13 to 16 and 36; Exif 2.32, 4.6.4.
func orientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 1
		}
		const tag, short = 0x0112, 3
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short && order.Uint32(entries[4:]) == 1 {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}

// upright turns m as an EXIF orientation says.
func upright(m Image, orientation int) Image {
	if orientation <= 1 {
		return m
	}
	out := Image{Width: m.Width, Height: m.Height, Channels: m.Channels, Pix: make([]uint8, len(m.Pix))}
	if orientation >= 5 {
		out.Width, out.Height = m.Height, m.Width
	}
	right, bottom := m.Width-1, m.Height-1
	c := m.Channels
	for y := range out.Height {
		for x := range out.Width {
			sx, sy := x, y
			switch orientation {
			case 2: // mirrored left to right
				sx = right - x
			case 3: // upside down
				sx, sy = right-x, bottom-y
			case 4: // mirrored top to bottom
				sy = bottom - y
			case 5: // mirrored at the diagonal
				sx, sy = y, x
			case 6: // to be turned clockwise
				sx, sy = y, bottom-x
			case 7: // mirrored at the other diagonal
				sx, sy = right-y, bottom-x
			case 8: // to be turned counterclockwise
				sx, sy = right-y, x
			}
			copy(out.Pix[(y*out.Width+x)*c:][:c], m.Pix[(sy*m.Width+sx)*c:])
		}
	}
	return out
}
