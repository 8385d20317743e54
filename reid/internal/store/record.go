package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Row is what a gallery knows of an image besides its features.
type Row struct {
	Name, Track string
	PID, Camera int32
	Time        int64
}

// LongestText bounds names and tracks, in bytes.
const LongestText = 4096

// A record is the length of its payload and the chained checksum of both, four
// bytes each, then the payload: the first row, how many rows it removes, how
// many it adds, the removed rows in ascending order, and the added ones.
const (
	recordHead = 4 + 4
	payloadMin = 8 + 4 + 4
	rowMin     = 4 + 4 + 4 + 8 + 1 + 1
	// longestPayload bounds a record.
	longestPayload = 1 << 30
)

// change is the payload of a record.
type change struct {
	first   int64 // row
	removed []int64
	rows    []Row
	sums    []uint32 // of the rows' features
}

func (c change) encode() []byte {
	b := little.AppendUint64(nil, uint64(c.first))
	b = little.AppendUint32(b, uint32(len(c.removed)))
	b = little.AppendUint32(b, uint32(len(c.rows)))
	for _, r := range c.removed {
		b = little.AppendUint64(b, uint64(r))
	}
	for i, r := range c.rows {
		b = little.AppendUint32(b, c.sums[i])
		b = little.AppendUint32(b, uint32(r.PID))
		b = little.AppendUint32(b, uint32(r.Camera))
		b = little.AppendUint64(b, uint64(r.Time))
		for _, text := range []string{r.Name, r.Track} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
	}
	return b
}

// sealRecord puts the head before a payload.
func sealRecord(chain uint32, payload []byte) (record []byte, next uint32) {
	record = little.AppendUint32(nil, uint32(len(payload)))
	next = crc32.Update(crc32.Update(chain, castagnoli, record), castagnoli, payload)
	record = little.AppendUint32(record, next)
	return append(record, payload...), next
}

// follow returns the payload of the record that log starts with, and the chain
// that it leaves, or a reason why it is none.
func follow(chain uint32, log []byte) (payload []byte, next uint32, reason string) {
	if len(log) < recordHead {
		return nil, 0, "a record is cut off"
	}
	length := int64(little.Uint32(log))
	if length > int64(len(log)-recordHead) {
		return nil, 0, fmt.Sprintf("a record of %d bytes goes beyond what is committed", length)
	}
	payload = log[recordHead : recordHead+length]
	next = crc32.Update(crc32.Update(chain, castagnoli, log[:4]), castagnoli, payload)
	if next != little.Uint32(log[4:]) {
		return nil, 0, "the checksum of a record is wrong"
	}
	return payload, next, ""
}

// apply adds the change that a payload holds to v, which has room of its own.
func (v *View) apply(payload []byte) error {
	if len(payload) < payloadMin {
		return fmt.Errorf("a record of %d bytes is too short", len(payload))
	}
	first, removed, added := little.Uint64(payload), int64(little.Uint32(payload[8:])), int64(little.Uint32(payload[12:]))
	rest := payload[payloadMin:]
	if first != uint64(len(v.Names)) || removed*8+added*rowMin > int64(len(rest)) {
		return fmt.Errorf("a record of %d bytes removes %d and adds %d images from row %d on, after %d", len(payload), removed, added, first, len(v.Names))
	}
	last := int64(-1)
	for range removed {
		r := int64(little.Uint64(rest))
		if r <= last || r >= int64(first) || v.IsRemoved(int(r)) {
			return fmt.Errorf("a record removes row %d, which is not there", r)
		}
		v.remove(int(r))
		last, rest = r, rest[8:]
	}
	texts := string(rest) // which names and tracks share
	read := 0
	text := func() (string, bool) {
		length, n := binary.Uvarint(rest[read:])
		if n <= 0 || length > LongestText || length > uint64(len(rest)-read-n) {
			return "", false
		}
		read += n + int(length)
		return texts[read-int(length) : read], true
	}
	for range added {
		if len(rest)-read < rowMin {
			return fmt.Errorf("a record ends within row %d", len(v.Names))
		}
		b := rest[read:]
		read += rowMin - 2
		name, ok := text()
		track, too := text()
		if !ok || !too {
			return fmt.Errorf("the name of row %d is cut off", len(v.Names))
		}
		v.add(Row{Name: name, Track: track, PID: int32(little.Uint32(b[4:])), Camera: int32(little.Uint32(b[8:])), Time: int64(little.Uint64(b[12:]))}, little.Uint32(b))
	}
	if read != len(rest) {
		return fmt.Errorf("a record has %d bytes too many", len(rest)-read)
	}
	return nil
}
