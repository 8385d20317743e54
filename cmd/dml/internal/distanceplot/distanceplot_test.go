package distanceplot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/reid"
)

// calibration has two humps that overlap.
func calibration() *reid.Calibration {
	c := &reid.Calibration{Metric: reid.Cosine, Threshold: .42, FPR: .00099, TPR: .712, Histogram: reid.Histogram{Low: .05, High: 1.1}}
	for i := range 100 {
		hump := func(middle, wide, n float64) int64 {
			return int64(n * math.Exp(-(float64(i)-middle)*(float64(i)-middle)/wide/wide))
		}
		c.Histogram.Same = append(c.Histogram.Same, hump(30, 14, 500))
		c.Histogram.Different = append(c.Histogram.Different, hump(65, 9, 90000))
		c.Same += c.Histogram.Same[i]
		c.Different += c.Histogram.Different[i]
	}
	return c
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	read := func(name string) []byte {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := Save(path, "Distances <of> pairs", calibration()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	picture := read("a.png")
	if !bytes.Equal(picture, read("b.PNG")) {
		t.Error("the same calibration gives other bytes")
	}
	m, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[color.NRGBA]int)
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			seen[color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)]++
		}
	}
	black := color.NRGBA{A: 255}
	if seen[blue] < 500 || seen[orange] < 500 || seen[black] < 300 {
		t.Errorf("%d blue, %d orange and %d black pixels", seen[blue], seen[orange], seen[black])
	}

	text := string(read("c.svg"))
	if text != string(read("d.svg")) {
		t.Error("the same calibration gives another drawing")
	}
	words := ""
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, is := token.(xml.CharData); is {
			words += string(data)
		}
	}
	for _, want := range []string{"Distances <of> pairs", "cosine distance", "one person: 12", "two persons: 14", "threshold 0.42: accepts 0.099 % of two, 71.2 % of one"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in %q", want, words)
		}
	}

	if err := Save(filepath.Join(dir, "e.gif"), "", calibration()); !errors.Is(err, ErrExtension) {
		t.Error(err)
	}
	if err := Save(filepath.Join(dir, "none", "e.png"), "", calibration()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for low, want := range map[float64]float64{.05: 0, .9: .9, -.5: -.5} {
		c := calibration()
		c.Histogram.Low, c.Threshold = low, 1
		if p, err := drawn("", c); err != nil || p.X.Min != want {
			t.Errorf("distances from %v: the axis begins at %v, %v, want %v", low, p.X.Min, err, want)
		}
	}
	one := calibration()
	one.Histogram = reid.Histogram{Low: .5, High: .5001, Same: []int64{3}, Different: []int64{0}}
	if err := Save(filepath.Join(dir, "f.png"), "", one); err != nil {
		t.Error(err)
	}
}

func TestSteps(t *testing.T) {
	got := steps(reid.Histogram{Low: 1, High: 3}, []int64{1, 3})
	want := [][2]float64{{1, 0}, {1, 25}, {2, 25}, {2, 75}, {3, 75}, {3, 0}}
	for i, at := range got {
		if len(got) != len(want) || at.X != want[i][0] || at.Y != want[i][1] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
