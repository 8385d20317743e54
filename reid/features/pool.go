package features

import (
	"github.com/deepmutual/dml/reid"
)

// tracks reports whether any image is of a track.
func (s *Images) tracks() bool {
	for _, p := range s.Parts {
		for _, r := range p.Images {
			if r.Track != "" {
				return true
			}
		}
	}
	return false
}

// grouped returns the labels of the rows of a part, and which rows of its images
// each is the mean of.
func (r *run) grouped(p ImagesPart) (labels []Row, groups [][]int) {
	kept := r.done.kept(p)
	if r.opts.Pooling == PoolTrack {
		groups = tracks(p, kept)
	} else {
		all := make([]int, len(kept))
		for i := range all {
			all[i] = i
			groups = append(groups, all[i:i+1])
		}
	}
	for _, g := range groups {
		labels = append(labels, p.Images[kept[g[0]]])
	}
	return labels, groups
}

// tracks groups the rows of a part, which are of the images kept, by person,
// camera and track, in the order of each one's first.
func tracks(p ImagesPart, kept []int) [][]int {
	type track struct {
		reid.Label
		name string
	}
	place := make(map[track]int)
	var groups [][]int
	for row, i := range kept {
		image := p.Images[i]
		key := track{image.Label, image.Track}
		at, there := place[key]
		if !there || image.Track == "" {
			at = len(groups)
			place[key] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], row)
	}
	return groups
}

// pooled returns a function that sets a row to the mean of a group, scaled to
// length 1, given one that sets it to a single one. It holds one row at a time,
// wherever those of a group lie.
func pooled(groups [][]int, single func(i int, row []float32) error, dim int) func(i int, row []float32) error {
	sum := make([]float64, dim)
	return func(i int, row []float32) error {
		g := groups[i]
		if len(g) == 1 { // it stays as it is, to the bit
			return single(g[0], row)
		}
		clear(sum)
		for _, k := range g {
			if err := single(k, row); err != nil {
				return err
			}
			for k, v := range row {
				sum[k] += float64(v)
			}
		}
		for k, v := range sum {
			row[k] = float32(v / float64(len(g)))
		}
		normalise(row)
		return nil
	}
}
