package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// Row is what a gallery knows of an image besides its features.
type Row struct {
	Name, Track string
	PID, Camera Key
	Time        int64
}

// Key is an identity or a camera: a number from LowestNumber, or a text where
// that is not empty.
type Key struct {
	Number int32
	Text   string
}

// LowestNumber of a Key. A text is stored as a code below: the place of the
// text among those of the gallery, from 0, counted down from lowestNumber - 1.
const LowestNumber = -2

func textCode(place int) int32 { return int32(LowestNumber - 1 - place) }

// LongestText bounds names, tracks and keys, in bytes.
const LongestText = 4096

// Relabel is what a row is from now on.
type Relabel struct {
	Row         int
	PID, Camera Key
	Time        int64
}

// Change is what is done to a gallery at once.
type Change struct {
	Removed  []int     // rows
	Relabels []Relabel // of rows that stay
	Note     []byte    // replaces that of the gallery, if it is not nil
	Rows     []Row     // added
	Features []float32 // of these
}

// LongestNote bounds a note, in bytes.
const LongestNote = 1 << 20

// A record is the length of its payload and the chained checksum of both, four
// bytes each, then the payload: the first row, how many rows it removes, how
// many it adds, the removed rows in ascending order, and the added ones.
//
// Where the first row has the bit extended, three numbers follow those: how many
// texts the record adds to the gallery's, how many rows it labels anew, and the
// length of a note, plus one, or 0 where there is none. Behind the removed rows
// stand the texts, the new labels, and the note.
const (
	recordHead   = 4 + 4
	payloadMin   = 8 + 4 + 4
	extendedMore = 4 + 4 + 4
	extended     = 1 << 63
	rowMin       = 4 + 4 + 4 + 8 + 1 + 1
	relabelSize  = 8 + 4 + 4 + 8
	// longestPayload bounds a record.
	longestPayload = 1 << 30
	// mostTexts bounds those of a gallery.
	mostTexts = 1 << 30
)

// encode returns the payload of a change of v, whose texts codes numbers. sums
// are those of the rows' features. New texts are added to codes.
func (c Change) encode(v *View, codes map[string]int32, sums []uint32) ([]byte, error) {
	var texts []string
	code := func(k Key) uint32 {
		if k.Text == "" {
			return uint32(k.Number)
		}
		n, there := codes[k.Text]
		if !there {
			n = textCode(len(v.Texts) + len(texts))
			codes[k.Text] = n
			texts = append(texts, k.Text)
		}
		return uint32(n)
	}
	var labels, rows []byte
	for _, r := range c.Relabels {
		labels = little.AppendUint64(labels, uint64(r.Row))
		labels = little.AppendUint32(labels, code(r.PID))
		labels = little.AppendUint32(labels, code(r.Camera))
		labels = little.AppendUint64(labels, uint64(r.Time))
	}
	for i, r := range c.Rows {
		rows = little.AppendUint32(rows, sums[i])
		rows = little.AppendUint32(rows, code(r.PID))
		rows = little.AppendUint32(rows, code(r.Camera))
		rows = little.AppendUint64(rows, uint64(r.Time))
		rows = appendText(appendText(rows, r.Name), r.Track)
	}
	if len(v.Texts)+len(texts) > mostTexts {
		return nil, fmt.Errorf("%d texts are too many for a gallery", len(v.Texts)+len(texts))
	}
	more := len(texts)+len(c.Relabels) > 0 || c.Note != nil
	first := uint64(v.Rows())
	if more {
		first |= extended
	}
	b := little.AppendUint64(nil, first)
	b = little.AppendUint32(b, uint32(len(c.Removed)))
	b = little.AppendUint32(b, uint32(len(c.Rows)))
	note := 0
	if c.Note != nil {
		note = len(c.Note) + 1
	}
	if more {
		b = little.AppendUint32(b, uint32(len(texts)))
		b = little.AppendUint32(b, uint32(len(c.Relabels)))
		b = little.AppendUint32(b, uint32(note))
	}
	for _, r := range slices.Sorted(slices.Values(c.Removed)) {
		b = little.AppendUint64(b, uint64(r))
	}
	for _, text := range texts {
		b = appendText(b, text)
	}
	b = slices.Concat(b, labels, c.Note, rows)
	if len(b) > longestPayload {
		return nil, fmt.Errorf("%d images need %d bytes of the log, which takes %d at once: add them in parts", len(c.Rows), len(b), longestPayload)
	}
	return b, nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
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

// payload is one that is read from its front.
type payload struct {
	bytes []byte
	text  string // the same, whose memory texts share
	at    int
}

func (p *payload) left() int64 { return int64(len(p.bytes) - p.at) }

// next returns the next n bytes, of which there are so many.
func (p *payload) next(n int) []byte {
	p.at += n
	return p.bytes[p.at-n : p.at]
}

func (p *payload) string() (string, bool) {
	length, n := binary.Uvarint(p.bytes[p.at:])
	if n <= 0 || length > LongestText || length > uint64(len(p.bytes)-p.at-n) {
		return "", false
	}
	p.at += n + int(length)
	return p.text[p.at-int(length) : p.at], true
}

// apply adds the change that a record's payload holds to v, which has room of
// its own.
func (v *View) apply(content []byte) error {
	if len(content) < payloadMin {
		return fmt.Errorf("a record of %d bytes is too short", len(content))
	}
	p := &payload{bytes: content}
	head := p.next(payloadMin)
	first, removed, added := little.Uint64(head), int64(little.Uint32(head[8:])), int64(little.Uint32(head[12:]))
	var texts, labels, note int64
	if first&extended != 0 {
		first &^= extended
		if p.left() < extendedMore {
			return fmt.Errorf("a record of %d bytes is too short", len(content))
		}
		more := p.next(extendedMore)
		texts, labels, note = int64(little.Uint32(more)), int64(little.Uint32(more[4:])), int64(little.Uint32(more[8:]))
	}
	if first != uint64(v.Rows()) || removed*8+texts+labels*relabelSize+max(0, note-1)+added*rowMin > p.left() {
		return fmt.Errorf("a record of %d bytes removes %d and adds %d images from row %d on, after %d", len(content), removed, added, first, v.Rows())
	}
	last := int64(-1)
	for range removed {
		r := int64(little.Uint64(p.next(8)))
		if r <= last || r >= int64(first) || v.IsRemoved(int(r)) {
			return fmt.Errorf("a record removes row %d, which is not there", r)
		}
		v.remove(int(r))
		last = r
	}
	p.text = string(content)
	for range texts {
		text, ok := p.string()
		if !ok || text == "" {
			return fmt.Errorf("text %d is cut off", len(v.Texts))
		}
		v.Texts = append(v.Texts, text)
	}
	if labels > 0 {
		v.PIDs, v.Cameras, v.Times = slices.Clone(v.PIDs), slices.Clone(v.Cameras), slices.Clone(v.Times)
	}
	for range labels {
		if p.left() < relabelSize {
			return fmt.Errorf("a record ends within its labels")
		}
		b := p.next(relabelSize)
		r := int64(little.Uint64(b))
		if r < 0 || r >= int64(first) || v.IsRemoved(int(r)) {
			return fmt.Errorf("a record labels row %d, which is not there", r)
		}
		v.PIDs[r], v.Cameras[r], v.Times[r] = int32(little.Uint32(b[8:])), int32(little.Uint32(b[12:])), int64(little.Uint64(b[16:]))
		if !v.isKey(v.PIDs[r]) || !v.isKey(v.Cameras[r]) {
			return fmt.Errorf("a label of row %d is a text that is not there", r)
		}
	}
	if note > 0 {
		if note--; p.left() < note {
			return fmt.Errorf("a note of %d bytes is cut off", note)
		}
		v.Note = slices.Clone(p.next(int(note)))
	}
	for range added {
		if p.left() < rowMin {
			return fmt.Errorf("a record ends within row %d", v.Rows())
		}
		b := p.next(rowMin - 2)
		name, ok := p.string()
		track, too := p.string()
		if !ok || !too {
			return fmt.Errorf("the name of row %d is cut off", v.Rows())
		}
		pid, camera := int32(little.Uint32(b[4:])), int32(little.Uint32(b[8:]))
		if !v.isKey(pid) || !v.isKey(camera) {
			return fmt.Errorf("a label of row %d is a text that is not there", v.Rows())
		}
		v.add(name, track, pid, camera, int64(little.Uint64(b[12:])), little.Uint32(b))
	}
	if p.left() > 0 {
		return fmt.Errorf("a record has %d bytes too many", p.left())
	}
	return nil
}
