package store

import (
	"fmt"
	"slices"
)

// View is a gallery at one moment. What is appended later lies beyond its
// slices, in arrays that views may share.
type View struct {
	Names, Tracks []string
	PIDs, Cameras []int32 // see Key
	Times         []int64
	// Texts that are identities or cameras.
	Texts []string
	// Note is what the gallery's owner wants to know again.
	Note []byte
	// Removed has a bit for each row, the lowest of each word first.
	Removed []uint64
	// Live is the number of rows that are not removed.
	Live int

	sums     []uint32
	segments []*segment
	store    *Store
	file     string // of the features
	dim      int
}

// Rows is the number of rows, removed ones among them.
func (v *View) Rows() int { return len(v.Names) }

// IsRemoved reports whether the row was removed.
func (v *View) IsRemoved(row int) bool { return v.Removed[row/64]>>(row%64)&1 != 0 }

// Row returns what is known of a row.
func (v *View) Row(i int) Row {
	return Row{Name: v.Names[i], Track: v.Tracks[i], PID: v.Key(v.PIDs[i]), Camera: v.Key(v.Cameras[i]), Time: v.Times[i]}
}

// Key returns what an element of PIDs or Cameras stands for.
func (v *View) Key(code int32) Key {
	if code >= LowestNumber {
		return Key{Number: code}
	}
	return Key{Text: v.Texts[LowestNumber-1-int(code)]}
}

func (v *View) isKey(code int32) bool {
	return code >= LowestNumber || LowestNumber-1-int(code) < len(v.Texts)
}

// Codes returns the elements of PIDs or Cameras that stand for one of the keys.
func (v *View) Codes(keys []Key) []int32 {
	var out []int32
	var texts map[string]bool
	for _, k := range keys {
		if k.Text == "" {
			out = append(out, k.Number)
			continue
		}
		if texts == nil {
			texts = make(map[string]bool)
		}
		texts[k.Text] = true
	}
	if texts != nil {
		for place, text := range v.Texts {
			if texts[text] {
				out = append(out, textCode(place))
			}
		}
	}
	return out
}

// grown is a copy of v to change, with room for more rows. Bits of rows that v
// has are the copy's own, the rest is shared.
func (v *View) grown(more int) *View {
	c := *v
	c.Removed = slices.Grow(slices.Clone(v.Removed), more/64+1)
	if more > cap(v.Names)-len(v.Names) {
		more = max(more, len(v.Names)/4) // adding one by one takes linear time
		c.Names, c.Tracks = slices.Grow(v.Names, more), slices.Grow(v.Tracks, more)
		c.PIDs, c.Cameras = slices.Grow(v.PIDs, more), slices.Grow(v.Cameras, more)
		c.Times, c.sums = slices.Grow(v.Times, more), slices.Grow(v.sums, more)
	}
	return &c
}

func (v *View) remove(row int) {
	v.Removed[row/64] |= 1 << (row % 64)
	v.Live--
}

func (v *View) add(name, track string, pid, camera int32, at int64, sum uint32) {
	if len(v.Names)%64 == 0 {
		v.Removed = append(v.Removed, 0)
	}
	v.Names, v.Tracks = append(v.Names, name), append(v.Tracks, track)
	v.PIDs, v.Cameras = append(v.PIDs, pid), append(v.Cameras, camera)
	v.Times, v.sums = append(v.Times, at), append(v.sums, sum)
	v.Live++
}

// Features returns the features of the rows from lo up to hi, all of one block,
// after verifying those that were not yet. They may only be read within Guard,
// and before Close.
func (v *View) Features(lo, hi int) ([]float32, error) {
	dim := v.dim
	seg, from := v.segments[lo/SegmentRows], lo%SegmentRows
	if bad := seg.verify(from/BlockRows, from%BlockRows+hi-lo, dim, v.sums[lo-from:], lo-from); bad >= 0 {
		return nil, v.damagedRow(bad)
	}
	return seg.data[from*dim : (from+hi-lo)*dim], nil
}

// Guard calls f, which reads features, and returns an error if they are gone
// from under it because somebody cut the file.
func (v *View) Guard(f func() error) error { return v.guard(f) }

// Verify checks the features of rows of one block again, whatever was checked
// before.
func (v *View) Verify(lo, hi int) error {
	dim := v.dim
	for row := lo; row < hi; row++ {
		at := row % SegmentRows * dim
		if rowSum(row, v.segments[row/SegmentRows].data[at:at+dim]) != v.sums[row] {
			return v.damagedRow(row)
		}
	}
	return nil
}

func (v *View) damagedRow(row int) error {
	return &Damage{
		File: v.store.file(v.file), Offset: int64(row) * int64(v.dim) * 4,
		Reason: fmt.Sprintf("the checksum of row %d, %q, is wrong", row, v.Names[row]),
	}
}
