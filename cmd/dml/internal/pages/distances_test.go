package pages

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/reid"
)

// calibration has two humps that overlap.
func calibration() *reid.Calibration {
	c := &reid.Calibration{Metric: reid.Cosine, Threshold: .42, FPR: .00099, TPR: .712, AUC: .98, EER: .05, Histogram: reid.Histogram{Low: .05, High: 1.1}}
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

func distancesPage(t *testing.T, c *reid.Calibration) string {
	t.Helper()
	var out bytes.Buffer
	if err := writeDistances(&out, "Distances <of> pairs", []string{"a remark"}, c); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDistances(t *testing.T) {
	text := distancesPage(t, calibration())
	if text != distancesPage(t, calibration()) {
		t.Error("the same calibration gives other bytes")
	}
	elements, words := parse(t, strict(text))
	polygons := make(map[string]int)
	for _, e := range elements {
		switch e.name {
		case "script", "link", "iframe", "img":
			t.Errorf("there is a <%s>", e.name)
		case "polygon":
			points := strings.Fields(e.attributes["points"])
			polygons[e.attributes["class"]] = len(points)
			for _, p := range points {
				if strings.Contains(p, "NaN") || strings.Contains(p, "Inf") {
					t.Fatalf("a point %s", p)
				}
			}
		}
	}
	if polygons["one"] != 202 || polygons["two"] != 202 {
		t.Errorf("outlines of %v points", polygons)
	}
	for _, want := range []string{"Distances <of> pairs", "a remark", "cosine distance", "12357 pairs of images", "1435654 pairs", "0.42", "0.099 %", "71.2 %", "98 %", "5 %", "one person", "two people"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in %q", want, words)
		}
	}
	one := calibration()
	one.Histogram = reid.Histogram{Low: .5, High: .5, Same: []int64{3}, Different: []int64{0}}
	one.Threshold = .5
	if text := distancesPage(t, one); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("pairs at one distance give no picture")
	}
}

func TestSaveDistances(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.html")
	if err := SaveDistances(path, "Distances <of> pairs", []string{"a remark"}, calibration()); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != distancesPage(t, calibration()) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if err := SaveDistances(path+".png", "", nil, calibration()); !errors.Is(err, ErrExtension) {
		t.Error(err)
	}
	if err := SaveDistances(filepath.Join(path, "e.html"), "", nil, calibration()); err == nil {
		t.Error("written below a file")
	}
}

// TestChart checks places by hand.
func TestChart(t *testing.T) {
	c := &reid.Calibration{Metric: reid.Dot, Threshold: 1, Histogram: reid.Histogram{Low: 0, High: 2, Same: []int64{1, 3}, Different: []int64{0, 0}}}
	x, y := axis{0, 2, 0, 200}, axis{0, 100, 100, 0}
	if got, want := outline(c.Histogram, shares(c.Histogram.Same), x, y), "0.0,100.0 0.0,75.0 100.0,75.0 100.0,25.0 200.0,25.0 200.0,100.0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := shares(c.Histogram.Different); !slices.Equal(got, []float64{0, 0}) {
		t.Errorf("%v", got)
	}
	for _, tc := range []struct {
		a    axis
		want []string
	}{
		{axis{0, 2, 0, 1}, []string{"0", "0.5", "1", "1.5", "2"}},
		{axis{.05, 1.1, 0, 1}, []string{"0.2", "0.4", "0.6", "0.8", "1"}},
		{axis{0, 7.3, 0, 1}, []string{"0", "1", "2", "3", "4", "5", "6", "7"}},
		{axis{-.5, .5, 0, 1}, []string{"-0.4", "-0.2", "0", "0.2", "0.4"}},
	} {
		var got []string
		for _, tick := range tc.a.ticks() {
			got = append(got, tick.Text)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%v: %q, want %q", tc.a, got, tc.want)
		}
	}
	for low, want := range map[float64]string{.05: "0", .9: "0.9"} {
		c := calibration()
		c.Histogram.Low, c.Threshold = low, 1
		if got := newChart(c).XTicks[0].Text; got != want {
			t.Errorf("distances from %v: the axis begins at %s, want %s", low, got, want)
		}
	}
}
