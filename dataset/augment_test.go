package dataset_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// padded is m with p pixels added on every side, by the words of PadMode.
func padded(m dataset.Image, p int, mode dataset.PadMode) dataset.Image {
	out := dataset.Image{Width: m.Width + 2*p, Height: m.Height + 2*p, Channels: m.Channels}
	mirror := func(i, n int) int {
		if i < 0 {
			i = -i
		}
		if i > n-1 {
			i = (n - 1) - (i - (n - 1))
		}
		return i
	}
	for y := -p; y < m.Height+p; y++ {
		for x := -p; x < m.Width+p; x++ {
			inside := x >= 0 && x < m.Width && y >= 0 && y < m.Height
			for c := range m.Channels {
				var v uint8
				if inside || mode == dataset.PadReflect {
					v = m.Pix[(mirror(y, m.Height)*m.Width+mirror(x, m.Width))*m.Channels+c]
				}
				out.Pix = append(out.Pix, v)
			}
		}
	}
	return out
}

// cropped is the width x height part of m at (x0, y0), mirrored if flip.
func cropped(m dataset.Image, x0, y0, width, height int, flip bool) []uint8 {
	var out []uint8
	for y := range height {
		for x := range width {
			if flip {
				x = width - 1 - x
			}
			at := ((y0+y)*m.Width + x0 + x) * m.Channels
			out = append(out, m.Pix[at:at+m.Channels]...)
		}
	}
	return out
}

// TestAugmentOutcomes checks that what Apply returns is always one of the
// outcomes that padding, cropping and mirroring define, and that each occurs
// about equally often.
func TestAugmentOutcomes(t *testing.T) {
	for _, channels := range []int{1, 3} {
		for _, mode := range []dataset.PadMode{dataset.PadReflect, dataset.PadZero} {
			t.Run(fmt.Sprintf("channels %d mode %s", channels, mode), func(t *testing.T) {
				a := dataset.Augment{Flip: true, PadCrop: 2, PadMode: mode}
				shape := dataset.Shape{Channels: channels, Height: 6, Width: 7}
				if err := a.Validate(shape); err != nil {
					t.Fatal(err)
				}
				m, _ := datatest.Random(t, 1, 1, shape, 5).Image(0)
				before := slices.Clone(m.Pix)
				big := padded(m, a.PadCrop, mode)
				count := make(map[string]int)
				for y := range 5 {
					for x := range 5 {
						for _, flip := range []bool{false, true} {
							count[string(cropped(big, x, y, m.Width, m.Height, flip))] = 0
						}
					}
				}
				if len(count) != 50 {
					t.Fatalf("%d distinct outcomes, want 50", len(count))
				}
				const tries = 20000
				buf := make([]uint8, shape.Size())
				for i := range tries {
					out := a.Apply(buf, m, dataset.SampleKey{Seed: 1, Epoch: i / 100, Index: i % 100})
					key := string(out.Pix)
					if _, ok := count[key]; !ok {
						t.Fatalf("sample %d became %v, which is not a crop of the padded image", i, out.Pix)
					}
					count[key]++
				}
				for _, n := range count { // 400 expected, standard deviation 20
					if n < 300 || n > 500 {
						t.Errorf("an outcome occurred %d times, want about %d", n, tries/50)
					}
				}
				if !slices.Equal(m.Pix, before) {
					t.Error("the source was changed")
				}
			})
		}
	}
}

func TestAugmentIsPure(t *testing.T) {
	shape := dataset.Shape{Channels: 3, Height: 8, Width: 8}
	m, _ := datatest.Random(t, 1, 1, shape, 5).Image(0)
	a := dataset.Augment{Flip: true, PadCrop: 4}
	of := func(k dataset.SampleKey) string { return string(a.Apply(nil, m, k).Pix) }
	// Of 40 keys differing in one number, some must give another outcome.
	for name, key := range map[string]func(i int) dataset.SampleKey{
		"seed":  func(i int) dataset.SampleKey { return dataset.SampleKey{Seed: uint64(i)} },
		"epoch": func(i int) dataset.SampleKey { return dataset.SampleKey{Epoch: i} },
		"index": func(i int) dataset.SampleKey { return dataset.SampleKey{Index: i} },
		"view":  func(i int) dataset.SampleKey { return dataset.SampleKey{View: i} },
	} {
		outcomes := make(map[string]bool)
		for i := range 40 {
			first := of(key(i))
			if first != of(key(i)) {
				t.Fatalf("%s %d gave two outcomes", name, i)
			}
			outcomes[first] = true
		}
		if len(outcomes) < 20 {
			t.Errorf("40 values of %s gave %d outcomes", name, len(outcomes))
		}
	}
}

// TestAugmentGolden pins the draws: a change would silently break resuming
// runs started by an earlier version.
func TestAugmentGolden(t *testing.T) {
	m := dataset.Image{Width: 8, Height: 8, Channels: 1}
	for i := range 64 {
		m.Pix = append(m.Pix, uint8(i))
	}
	a := dataset.Augment{Flip: true, PadCrop: 3, PadMode: dataset.PadZero}
	var got []uint8 // the pixel that arrives in row 4, column 4
	for i := range 8 {
		got = append(got, a.Apply(nil, m, dataset.SampleKey{Seed: 42, Epoch: 3, Index: i}).Pix[36])
	}
	if want := []uint8{36, 37, 12, 21, 42, 59, 27, 63}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAugmentNothing(t *testing.T) {
	m, _ := datatest.Random(t, 1, 1, tiny, 5).Image(0)
	if out := (dataset.Augment{}).Apply(nil, m, dataset.SampleKey{}); &out.Pix[0] != &m.Pix[0] {
		t.Error("the zero Augment copied the image")
	}
}

func TestAugmentAllocatesNothing(t *testing.T) {
	shape := dataset.Shape{Channels: 3, Height: 8, Width: 8}
	m, _ := datatest.Random(t, 1, 1, shape, 5).Image(0)
	a := dataset.Augment{Flip: true, PadCrop: 2}
	buf := make([]uint8, shape.Size())
	i := 0
	if n := testing.AllocsPerRun(100, func() { a.Apply(buf, m, dataset.SampleKey{Index: i}); i++ }); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
}

func TestAugmentValidate(t *testing.T) {
	shape := dataset.Shape{Channels: 3, Height: 8, Width: 6}
	for _, bad := range []dataset.Augment{{PadCrop: -1}, {PadCrop: 6}, {PadMode: "mirror"}, {PadCrop: 1 << 30, PadMode: dataset.PadZero}} {
		if bad.Validate(shape) == nil {
			t.Errorf("%+v passed", bad)
		}
	}
	for _, good := range []dataset.Augment{{}, {PadCrop: 5}, {PadCrop: 20, PadMode: dataset.PadZero}} {
		if err := good.Validate(shape); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}
