package store

import (
	"fmt"
	"slices"
)

// View is a gallery at one moment. What is appended later lies beyond its
// slices, in arrays that views may share.
type View struct {
	Names, Tracks []string
	PIDs, Cameras []int32
	Times         []int64
	// Removed has a bit for each row, the lowest of each word first.
	Removed []uint64
	// Live is the number of rows that are not removed.
	Live int

	sums     []uint32
	segments []*segment
	store    *Store
}

// Rows is the number of rows, removed ones among them.
func (v *View) Rows() int { return len(v.Names) }

// IsRemoved reports whether the row was removed.
func (v *View) IsRemoved(row int) bool { return v.Removed[row/64]>>(row%64)&1 != 0 }

// Row returns what is known of a row.
func (v *View) Row(i int) Row {
	return Row{Name: v.Names[i], Track: v.Tracks[i], PID: v.PIDs[i], Camera: v.Cameras[i], Time: v.Times[i]}
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

func (v *View) add(r Row, sum uint32) {
	if len(v.Names)%64 == 0 {
		v.Removed = append(v.Removed, 0)
	}
	v.Names, v.Tracks = append(v.Names, r.Name), append(v.Tracks, r.Track)
	v.PIDs, v.Cameras = append(v.PIDs, r.PID), append(v.Cameras, r.Camera)
	v.Times, v.sums = append(v.Times, r.Time), append(v.sums, sum)
	v.Live++
}

// Features returns the features of the rows from lo up to hi, all of one block,
// after verifying those that were not yet. They may only be read within Guard,
// and before Close.
func (v *View) Features(lo, hi int) ([]float32, error) {
	dim := v.store.header.Dim
	seg, from := v.segments[lo/SegmentRows], lo%SegmentRows
	if bad := seg.verify(from/BlockRows, from%BlockRows+hi-lo, dim, v.sums[lo-from:], lo-from); bad >= 0 {
		return nil, v.damagedRow(bad)
	}
	return seg.data[from*dim : (from+hi-lo)*dim], nil
}

// Guard calls f, which reads features, and returns an error if they are gone
// from under it because somebody cut the file.
func (v *View) Guard(f func() error) error { return v.store.guard(f) }

// Verify checks the features of rows of one block again, whatever was checked
// before.
func (v *View) Verify(lo, hi int) error {
	dim := v.store.header.Dim
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
		File: v.store.file(featuresFile), Offset: int64(row) * int64(v.store.header.Dim) * 4,
		Reason: fmt.Sprintf("the checksum of row %d, %q, is wrong", row, v.Names[row]),
	}
}
