package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/deepmutual/dml/dataset/internal/draws"
)

func colours(n int, channels int) Image {
	r := rand.New(rand.NewPCG(7, 0))
	m := Image{Width: n, Height: 1, Channels: channels, Pix: make([]uint8, n*channels)}
	for i := range m.Pix {
		m.Pix[i] = uint8(r.UintN(256))
	}
	return m
}

func copyOf(m Image) Image {
	m.Pix = append([]uint8(nil), m.Pix...)
	return m
}

func clamped(v float64) float64 { return math.Round(math.Min(math.Max(v, 0), 255)) }

// slowJitter does, in float64 and by the words of Jitter, the four changes.
func slowJitter(m Image, change int, factor float64) {
	grey := func(p []uint8) float64 {
		if len(p) == 1 {
			return float64(p[0])
		}
		return math.Round(0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2]))
	}
	c := m.Channels
	mean := 0.0
	for i := 0; i < len(m.Pix); i += c {
		mean += grey(m.Pix[i:i+c]) / float64(len(m.Pix)/c)
	}
	mean = math.Round(mean)
	for i := 0; i < len(m.Pix); i += c {
		p := m.Pix[i : i+c]
		g := grey(p)
		if change == 3 && c == 3 {
			slowTurn(p, factor)
			continue
		}
		for k, v := range p {
			switch {
			case change == 0:
				p[k] = uint8(clamped(factor * float64(v)))
			case change == 1:
				p[k] = uint8(clamped(mean + factor*(float64(v)-mean)))
			case change == 2 && c == 3:
				p[k] = uint8(clamped(g + factor*(float64(v)-g)))
			}
		}
	}
}

// slowTurn goes through hue, saturation and value (Smith 1978).
func slowTurn(p []uint8, turn float64) {
	r, g, b := float64(p[0])/255, float64(p[1])/255, float64(p[2])/255
	v := math.Max(r, math.Max(g, b))
	chroma := v - math.Min(r, math.Min(g, b))
	if chroma == 0 {
		return
	}
	s := chroma / v
	var h float64 // degrees
	switch v {
	case r:
		h = 60 * math.Mod((g-b)/chroma+6, 6)
	case g:
		h = 60 * ((b-r)/chroma + 2)
	default:
		h = 60 * ((r-g)/chroma + 4)
	}
	h = math.Mod(h+360*turn+360, 360)
	of := func(n float64) uint8 {
		k := math.Mod(n+h/60, 6)
		return uint8(clamped(255 * (v - v*s*math.Max(0, math.Min(math.Min(k, 4-k), 1)))))
	}
	p[0], p[1], p[2] = of(5), of(3), of(1)
}

// TestJitterAgainstDefinition compares each change, and all of them in the
// order drawn, with slow code.
func TestJitterAgainstDefinition(t *testing.T) {
	for _, channels := range []int{1, 3} {
		for name, j := range map[string]Jitter{
			"brightness": {Brightness: 0.8}, "contrast": {Contrast: 0.9}, "saturation": {Saturation: 0.9}, "hue": {Hue: 0.5},
			"all": {0.4, 0.3, 0.5, 0.2},
		} {
			t.Run(fmt.Sprint(name, channels), func(t *testing.T) {
				changed := false
				for i := range 60 {
					key := SampleKey{Seed: 5, Index: i}
					m := colours(500, channels)
					got, want := copyOf(m), copyOf(m)
					j.apply(got, key)
					r := key.random(streamJitter)
					order := [4]int{0, 1, 2, 3}
					draws.Shuffle(&r, order[:])
					var drawn [4]float64
					for k, x := range []float64{j.Brightness, j.Contrast, j.Saturation} {
						drawn[k] = r.Between(math.Max(0, 1-x), 1+x)
					}
					drawn[3] = r.Between(-j.Hue, j.Hue)
					within := 2 // a grey that is rounded otherwise counts at most twice
					for _, change := range order {
						if []float64{j.Brightness, j.Contrast, j.Saturation, j.Hue}[change] != 0 {
							slowJitter(want, change, drawn[change])
						}
					}
					if name == "all" { // what differs is scaled by the changes after it
						within = 6
					}
					for at := range want.Pix {
						if d := int(got.Pix[at]) - int(want.Pix[at]); d < -within || d > within {
							t.Fatalf("key %d, order %v, draws %v: sample %d became %d, by definition %d", i, order, drawn, m.Pix[at], got.Pix[at], want.Pix[at])
						}
						changed = changed || got.Pix[at] != m.Pix[at]
					}
				}
				if grey := channels == 1 && (name == "saturation" || name == "hue"); changed == grey {
					t.Errorf("changed is %v", changed)
				}
			})
		}
	}
}

// TestJitterStatistics: the factors are uniform between their bounds, and every
// order occurs.
func TestJitterStatistics(t *testing.T) {
	j := Jitter{Brightness: 0.5}
	const tries = 20000
	sum, low, high := 0.0, 255, 0
	for i := range tries {
		m := Image{Width: 1, Height: 1, Channels: 1, Pix: []uint8{100}}
		j.apply(m, SampleKey{Index: i})
		v := int(m.Pix[0])
		sum, low, high = sum+float64(v), min(low, v), max(high, v)
	}
	// Standard deviation 100/sqrt(12), five standard errors.
	if mean := sum / tries; math.Abs(mean-100) > 5*100/math.Sqrt(12*tries) || low != 50 || high != 150 {
		t.Errorf("100 became %d to %d, in the mean %v", low, high, mean)
	}
	orders := make(map[[4]int]int)
	for i := range 24000 {
		r := SampleKey{Index: i}.random(streamJitter)
		order := [4]int{0, 1, 2, 3}
		draws.Shuffle(&r, order[:])
		orders[order]++
	}
	for order, n := range orders { // 1000 expected, standard deviation 31
		if n < 840 || n > 1160 {
			t.Errorf("order %v occurred %d times", order, n)
		}
	}
	if len(orders) != 24 {
		t.Errorf("%d orders", len(orders))
	}
}

// TestJitterGolden pins the draws, as TestAugmentGolden does.
func TestJitterGolden(t *testing.T) {
	m := Image{Width: 2, Height: 1, Channels: 3, Pix: []uint8{200, 100, 50, 10, 120, 220}}
	Jitter{0.4, 0.4, 0.4, 0.1}.apply(m, SampleKey{Seed: 42, Epoch: 3, Index: 1})
	if got, want := fmt.Sprint(m.Pix), "[179 88 56 27 130 198]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestJitterLeavesTheSourceAlone(t *testing.T) {
	a := Augment{Jitter: Jitter{Brightness: 0.5, Contrast: 0.5, Saturation: 0.5, Hue: 0.5}}
	m := colours(50, 3)
	before := copyOf(m)
	buf := make([]uint8, len(m.Pix))
	i := 0
	allocs := testing.AllocsPerRun(100, func() { i++; a.Apply(buf, m, SampleKey{Index: i}) })
	if string(m.Pix) != string(before.Pix) || allocs != 0 {
		t.Errorf("the source was changed, or %v allocations a sample", allocs)
	}
}
