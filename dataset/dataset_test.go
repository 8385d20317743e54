package dataset_test

import (
	"errors"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// painted gives grey images of 2x2 but for those in colour, and fails at one.
type painted struct {
	dataset.Dataset
	n        int
	coloured map[int]bool
	broken   int
}

var errBroken = errors.New("broken")

func (p painted) Len() int { return p.n }

func (p painted) Image(i int) (dataset.Image, error) {
	if i == p.broken {
		return dataset.Image{}, errBroken
	}
	channels := 1
	if p.coloured[i] {
		channels = 3
	}
	return dataset.Image{Width: 2, Height: 2, Channels: channels, Pix: make([]uint8, 4*channels)}, nil
}

// TestShapeOf: a grey image at the beginning does not make colour images grey.
func TestShapeOf(t *testing.T) {
	for name, tc := range map[string]struct {
		data     dataset.Dataset
		channels int
		err      error
	}{
		"all grey":         {painted{n: 500, broken: -1}, 1, nil},
		"first grey":       {painted{n: 3, coloured: map[int]bool{1: true}, broken: 2}, 3, nil},
		"one in colour":    {painted{n: 100, coloured: map[int]bool{99: true}, broken: -1}, 3, nil},
		"one of very many": {painted{n: 100000, coloured: map[int]bool{99: true}, broken: -1}, 1, nil}, // not looked at
		"first in colour":  {painted{n: 3, coloured: map[int]bool{0: true}, broken: 1}, 3, nil},
		"broken":           {painted{n: 3, broken: 2}, 0, errBroken},
		"in memory":        {datatest.Random(t, 4, 2, tiny, 1), 1, nil},
	} {
		got, err := dataset.ShapeOf(tc.data)
		want := dataset.Shape{Channels: tc.channels, Height: 2, Width: 2}
		if tc.err != nil {
			want = dataset.Shape{}
		}
		if !errors.Is(err, tc.err) || got != want {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, err, want, tc.err)
		}
	}
}
