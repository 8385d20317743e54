package pages

import (
	"fmt"
	"io"
	"strings"

	"github.com/deepmutual/dml/reid"
)

// SaveSearches writes a page of how many searches for people who are not in a
// gallery find somebody, against how many of the people who are there are
// identified, at all thresholds. The file is whole or absent.
func SaveSearches(path, title string, remarks []string, wanted float64, c *reid.SearchCalibration) error {
	return save(path, func(w io.Writer) error { return writeSearches(w, title, remarks, wanted, c) })
}

func writeSearches(w io.Writer, title string, remarks []string, wanted float64, c *reid.SearchCalibration) error {
	t, err := templates()
	if err != nil {
		return err
	}
	percent := func(v float64) string { return fmt.Sprintf("%.4g %%", 100*v) }
	for _, s := range c.Sizes {
		remarks = append(remarks, fmt.Sprintf("In galleries of %d images: false alarms %s, identified %s.", s.Images, percent(s.FalseAlarms), percent(s.Identified)))
	}
	h := newHead(title, []Score{{"threshold", fmt.Sprintf("%.4g", c.Threshold)}, {"false alarms", percent(c.FalseAlarms)}, {"wanted", percent(wanted)},
		{"identified at rank 1", percent(c.Identified)}}, remarks)
	h.Legend = []legend{
		{"one", "", "identified at rank 1", fmt.Sprintf("of %d searches for people who are there", c.Known)},
		{"limit", "", "threshold", fmt.Sprintf("its false alarms, of %d searches for people left out", c.Searches)},
	}
	if err := t.ExecuteTemplate(w, "head", h); err != nil {
		return err
	}
	if err := t.ExecuteTemplate(w, "distances", searchChart(wanted, c)); err != nil {
		return err
	}
	return t.ExecuteTemplate(w, "foot", nil)
}

// searchChart shows the rates up to a few times the wanted one.
func searchChart(wanted float64, c *reid.SearchCalibration) chart {
	most := min(1, 10*max(wanted, c.FalseAlarms))
	x := axis{0, 100 * most, chartLeft, chartWidth - chartMargin}
	y := axis{0, 100, chartHeight - chartBottom, chartMargin}
	points := []string{x.place(0) + "," + y.place(0)}
	last := 0.0
	for _, p := range c.Curve {
		if p.FalseAlarms > most {
			break
		}
		points = append(points, x.place(100*p.FalseAlarms)+","+y.place(100*p.Identified))
		last = p.FalseAlarms
	}
	points = append(points, x.place(100*last)+","+y.place(0))
	return chart{
		Width: chartWidth, Height: chartHeight, Left: chartLeft, Right: chartWidth - chartMargin, Top: chartMargin, Bottom: chartHeight - chartBottom,
		XLabel: "% of searches for people who are not there that find somebody", YLabel: "% identified at rank 1", XTicks: x.ticks(), YTicks: y.ticks(),
		One: strings.Join(points, " "), Threshold: x.place(100 * c.FalseAlarms),
		Text: fmt.Sprintf("False alarms per search against people identified; at the threshold %.4g it is %.3g %% against %.3g %%.", c.Threshold, 100*c.FalseAlarms, 100*c.Identified),
	}
}
