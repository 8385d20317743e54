package pages

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/deepmutual/dml/reid"
)

// SaveDistances writes a page of how far pairs of images of one person are apart,
// and pairs of two, with the threshold that tells them apart. The file is whole or
// absent.
func SaveDistances(path, title string, remarks []string, c *reid.Calibration) error {
	return save(path, func(w io.Writer) error { return writeDistances(w, title, remarks, c) })
}

func writeDistances(w io.Writer, title string, remarks []string, c *reid.Calibration) error {
	t, err := templates()
	if err != nil {
		return err
	}
	percent := func(v float64) string { return fmt.Sprintf("%.4g %%", 100*v) }
	h := newHead(title, []Score{{"threshold", fmt.Sprintf("%.4g", c.Threshold)}, {"two people accepted", percent(c.FPR)}, {"one person accepted", percent(c.TPR)},
		{"area under the ROC curve", percent(c.AUC)}, {"equal error rate", percent(c.EER)}}, remarks)
	h.Legend = []legend{
		{"one", "", "one person", fmt.Sprintf("%d pairs of images", c.Same)},
		{"two", "", "two people", fmt.Sprintf("%d pairs", c.Different)},
		{"limit", "", "threshold", "pairs that are nearer are taken for one person"},
	}
	if err := t.ExecuteTemplate(w, "head", h); err != nil {
		return err
	}
	if err := t.ExecuteTemplate(w, "distances", newChart(c)); err != nil {
		return err
	}
	return t.ExecuteTemplate(w, "foot", nil)
}

// The size of a chart, in units of its own, and its margins.
const (
	chartWidth, chartHeight             = 640, 360
	chartLeft, chartBottom, chartMargin = 64, 56, 16
)

// chart is a picture of two histograms as the template sees it.
type chart struct {
	Width, Height            int
	Left, Right, Top, Bottom int
	XLabel, YLabel           string
	XTicks, YTicks           []tick
	One, Two                 string // outlines, as lists of points
	Threshold                string // its place
	Text                     string // for those who do not see it
}

type tick struct{ At, Text string }

// axis maps values from Low to High to places.
type axis struct{ low, high, from, to float64 }

func (a axis) place(v float64) string {
	return strconv.FormatFloat(a.from+(a.to-a.from)*(v-a.low)/(a.high-a.low), 'f', 1, 64)
}

// ticks are round values, some five of them.
func (a axis) ticks() []tick {
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/5)))
	for _, factor := range []float64{5, 2} {
		if (a.high-a.low)/(factor*step) >= 4 {
			step *= factor
			break
		}
	}
	var out []tick
	for i := math.Ceil(a.low / step); i*step <= a.high*(1+1e-9); i++ {
		out = append(out, tick{a.place(i * step), strconv.FormatFloat(i*step, 'g', 4, 64)})
	}
	return out
}

func newChart(c *reid.Calibration) chart {
	one, two := shares(c.Histogram.Same), shares(c.Histogram.Different)
	most := 0.0
	for i := range one {
		most = max(most, one[i], two[i])
	}
	low, high := min(c.Histogram.Low, c.Threshold), max(c.Histogram.High, c.Threshold)
	if low > 0 && low < .25*high {
		low = 0 // where distances begin
	}
	if !(high > low) {
		low, high = low-.5, low+.5
	}
	x := axis{low, high, chartLeft, chartWidth - chartMargin}
	y := axis{0, max(most, 1e-9) * 1.05, chartHeight - chartBottom, chartMargin}
	return chart{
		Width: chartWidth, Height: chartHeight, Left: chartLeft, Right: chartWidth - chartMargin, Top: chartMargin, Bottom: chartHeight - chartBottom,
		XLabel: string(c.Metric) + " distance", YLabel: "% of the pairs, in each bin",
		XTicks: x.ticks(), YTicks: y.ticks(), One: outline(c.Histogram, one, x, y), Two: outline(c.Histogram, two, x, y), Threshold: x.place(c.Threshold),
		Text: fmt.Sprintf("Pairs of one person and of two by their %s distance, from %.3g to %.3g, with the threshold at %.4g.", c.Metric, c.Histogram.Low, c.Histogram.High, c.Threshold),
	}
}

// shares are counts in percent of all.
func shares(counts []int64) []float64 {
	var all float64
	for _, n := range counts {
		all += float64(n)
	}
	out := make([]float64, len(counts))
	for i, n := range counts {
		out[i] = 100 * float64(n) / max(all, 1)
	}
	return out
}

// outline is the outline of a histogram, as a list of points.
func outline(h reid.Histogram, shares []float64, x, y axis) string {
	edge := func(i int) float64 { return h.Low + (h.High-h.Low)*float64(i)/float64(len(shares)) }
	points := []string{x.place(h.Low) + "," + y.place(0)}
	for i, v := range shares {
		points = append(points, x.place(edge(i))+","+y.place(v), x.place(edge(i+1))+","+y.place(v))
	}
	return strings.Join(append(points, x.place(h.High)+","+y.place(0)), " ")
}
