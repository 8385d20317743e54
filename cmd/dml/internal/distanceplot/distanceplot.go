// Package distanceplot draws how far pairs of images of one person are apart,
// and pairs of two, with the threshold that tells them apart.
package distanceplot

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// ErrExtension is wrapped by Save's error for a file that is neither .png nor
// .svg.
var ErrExtension = errors.New("unknown kind of file")

// The size of a picture.
const width, height = 22 * vg.Centimeter, 12 * vg.Centimeter

// Kind tells what a picture is written as, "png" or "svg", by a file's name.
func Kind(path string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".png", ".svg":
		return ext[1:], nil
	default:
		return "", fmt.Errorf("%s: %w: a picture is written as .png or .svg", path, ErrExtension)
	}
}

// Save draws a calibration to a file, as PNG or SVG by its name. The file is
// whole or absent; the same calibration gives the same bytes.
func Save(path, title string, c *reid.Calibration) error {
	kind, err := Kind(path)
	if err != nil {
		return err
	}
	p, err := drawn(title, c)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if kind == "svg" {
		canvas := vgsvg.New(width, height)
		p.Draw(inset(draw.New(canvas)))
		_, err = canvas.WriteTo(&out)
	} else {
		canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144))}
		p.Draw(inset(draw.New(canvas)))
		_, err = canvas.WriteTo(&out)
	}
	if err != nil {
		return fmt.Errorf("drawing %s: %w", path, err)
	}
	return files.WriteFile(path, out.Bytes(), 0o644)
}

// inset paints the canvas white and leaves a margin of it free.
func inset(c draw.Canvas) draw.Canvas {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	const margin = 12
	return draw.Crop(c, vg.Points(margin), -vg.Points(margin), vg.Points(margin), -vg.Points(margin))
}

// Colours that people of all kinds of colour vision tell apart.
var (
	blue   = color.NRGBA{0, 114, 178, 255}
	orange = color.NRGBA{213, 94, 0, 255}
)

func drawn(title string, c *reid.Calibration) (*plot.Plot, error) {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text = string(c.Metric) + " distance"
	p.Y.Label.Text = "% of the pairs, in each bin"
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font.Variant = "Sans"
	}
	p.Title.TextStyle.Font.Size, p.Legend.TextStyle.Font.Size = vg.Points(14), vg.Points(10.5)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{225}, color.Gray{225}
	p.Add(grid)
	most := 0.0
	for _, side := range []struct {
		name   string
		counts []int64
		color  color.NRGBA
		dashes []vg.Length
	}{
		{fmt.Sprintf("one person: %d pairs", c.Same), c.Histogram.Same, blue, nil},
		{fmt.Sprintf("two persons: %d pairs", c.Different), c.Histogram.Different, orange, []vg.Length{vg.Points(5), vg.Points(2)}},
	} {
		outline := steps(c.Histogram, side.counts)
		for _, at := range outline {
			most = max(most, at.Y)
		}
		area, err := plotter.NewPolygon(outline)
		if err != nil {
			return nil, err
		}
		fill := side.color
		fill.A = 70
		area.Color, area.LineStyle.Width = fill, 0
		line, err := plotter.NewLine(outline)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width, line.Dashes = side.color, vg.Points(1.5), side.dashes
		p.Add(area, line)
		p.Legend.Add(side.name, line)
	}
	threshold, err := plotter.NewLine(plotter.XYs{{X: c.Threshold}, {X: c.Threshold, Y: most * 1.05}})
	if err != nil {
		return nil, err
	}
	threshold.Width = vg.Points(1.5)
	p.Add(threshold)
	p.Legend.Add(fmt.Sprintf("threshold %.4g: accepts %.4g %% of two, %.4g %% of one", c.Threshold, 100*c.FPR, 100*c.TPR), threshold)
	p.Y.Min, p.Y.Max = 0, most*1.35 // the legend stands above the curves
	if h := c.Histogram; h.Low > 0 && h.Low < .25*h.High {
		p.X.Min = 0 // where distances begin
	}
	return p, nil
}

// steps is the outline of a histogram, each bin in percent of all.
func steps(h reid.Histogram, counts []int64) plotter.XYs {
	var all float64
	for _, n := range counts {
		all += float64(n)
	}
	edge := func(i int) float64 { return h.Low + (h.High-h.Low)*float64(i)/float64(len(counts)) }
	out := plotter.XYs{{X: h.Low}}
	for i, n := range counts {
		y := 0.0
		if all > 0 {
			y = 100 * float64(n) / all
		}
		out = append(out, plotter.XY{X: edge(i), Y: y}, plotter.XY{X: edge(i + 1), Y: y})
	}
	return append(out, plotter.XY{X: h.High})
}
