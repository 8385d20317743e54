package retrieval

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/pages"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// searchFlags are those of calibrate --search.
func searchFlags() []cli.Flag {
	return console.Group("Thresholds of searches",
		&cli.BoolFlag{Name: "search", DisableDefaultText: true, Usage: "find the threshold of a gallery's searches, not of pairs"},
		&cli.Float64Flag{Name: "false-alarms", Value: 0.01, Usage: "let this `FRACTION` of searches for people who are not there find somebody"},
		&cli.IntFlag{Name: "images", DefaultText: "all", Usage: "for a gallery of `N` images"},
		&cli.Uint64Flag{Name: "seed", Usage: "`N` that random galleries and intervals follow from"},
	)
}

// checkSearchFlags refuses flags about searches without --search, and others with
// it.
func checkSearchFlags(ctx *cli.Context) error {
	if !ctx.Bool("search") {
		for _, name := range []string{"false-alarms", "images", "seed"} {
			if ctx.IsSet(name) {
				return console.Usagef("--%s is about --search, which is not given", name)
			}
		}
		return nil
	}
	if ctx.IsSet("fpr") {
		return console.Usagef("--fpr is about pairs; with --search give --false-alarms")
	}
	if rate := ctx.Float64("false-alarms"); !(rate > 0 && rate < 1) {
		return console.Usagef("--false-alarms: %v is not between 0 and 1", rate)
	}
	if ctx.Int("images") < 0 || ctx.IsSet("images") && ctx.Int("images") == 0 {
		return console.Usagef("--images: %d is below 1", ctx.Int("images"))
	}
	return nil
}

// calibrateSearch measures, writes and prints a threshold of searches.
func calibrateSearch(c *console.Console, ctx *cli.Context, set *features.Set, opts reid.SearchCalibrationOptions) error {
	opts.FalseAlarms, opts.Images, opts.Seed = ctx.Float64("false-alarms"), ctx.Int("images"), ctx.Uint64("seed")
	out, page := ctx.String("out"), ctx.String("page")
	result, err := reid.CalibrateSearch(ctx.Context, set.Query.Set, set.Gallery.Set, opts)
	if err != nil {
		return err
	}
	t := features.SearchThreshold{Recipe: *set.Recipe, Wanted: opts.FalseAlarms, SearchCalibration: *result, Data: set.Data}
	if page != "" {
		if err := pages.SaveSearches(page, "Searches for people in and not in "+placeOf(set), []string{describedRecipe(*set.Recipe)}, opts.FalseAlarms, result); err != nil {
			return err
		}
	}
	if err := features.WriteSearchThreshold(out, t); err != nil {
		return err
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, struct {
			Fingerprint string `json:"fingerprint"`
			features.SearchThreshold
			File string `json:"file"`
			Page string `json:"page,omitempty"`
		}{t.Fingerprint(), t, out, page})
	}
	return printSearchCalibration(c, out, page, t)
}

// between prints an interval.
func between(v [2]float64) string {
	return fmt.Sprintf("%.2f to %.2f %%", 100*v[0], 100*v[1])
}

func printSearchCalibration(c *console.Console, out, page string, t features.SearchThreshold) error {
	if err := console.Table(c.Stdout, [][]string{
		{"THRESHOLD", fmt.Sprintf("%.6g (%s distance); 95 %% interval %.4g to %.4g", t.Threshold, t.Metric, t.ThresholdInterval[0], t.ThresholdInterval[1])},
		{"false alarms", fmt.Sprintf("%s of %s searches for people left out, of %s people; interval %s (wanted: %.4g %%)",
			console.Percent(t.FalseAlarms), console.Grouped(t.Searches), console.Grouped(t.People), between(t.FalseAlarmsInterval), 100*t.Wanted)},
		{"identified at rank 1", fmt.Sprintf("%s of %s searches for people who are there; interval %s",
			console.Percent(t.Identified), console.Grouped(t.Known), between(t.IdentifiedInterval))},
	}); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.Stdout, "\nIn galleries of other sizes:\n"); err != nil {
		return err
	}
	rows := [][]string{{"IMAGES", "FALSE ALARMS", "INTERVAL", "IDENTIFIED", fmt.Sprintf("THRESHOLD FOR %.4g %%", 100*t.Wanted)}}
	for _, s := range t.Sizes {
		own := "-"
		if s.Threshold > 0 {
			own = fmt.Sprintf("%.4g", s.Threshold)
		}
		rows = append(rows, []string{console.Grouped(s.Images), console.Percent(s.FalseAlarms), between(s.FalseAlarmsInterval), console.Percent(s.Identified), own})
	}
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	where := fmt.Sprintf("\n%s: for features of fingerprint %.16s\n", out, t.Fingerprint())
	if page != "" {
		where += page + ": false alarms against people identified\n"
	}
	_, err := fmt.Fprint(c.Stdout, where)
	return err
}
