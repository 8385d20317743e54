package main

import (
	"fmt"
	"io"
	"math"
)

// table prints one row a variant, in Markdown: means over the seeds and, after
// ±, the sample's standard deviation. A student's figures are first averaged
// over the run's students.
func table(out io.Writer, study Study, results map[string][]outcome) error {
	fmt.Fprintln(out, "| variant | students, % | ensemble, % | NLL of a student | NLL of the ensemble | entropy of a student | training, s |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|")
	for _, v := range study.Variants {
		runs := results[v.Name]
		of := func(scale float64, decimals int, f func(outcome) float64) string {
			mean, deviation := moments(runs, f)
			return fmt.Sprintf("%.*f ± %.*f", decimals, scale*mean, decimals, scale*deviation)
		}
		seconds, _ := moments(runs, func(o outcome) float64 { return o.seconds })
		_, err := fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %.0f |\n", v.Name,
			of(100, 2, func(o outcome) float64 { return average(o, func(s scores) float64 { return s.Accuracy }) }),
			of(100, 2, func(o outcome) float64 { return o.ensemble.Accuracy }),
			of(1, 3, func(o outcome) float64 { return average(o, func(s scores) float64 { return s.NLL }) }),
			of(1, 3, func(o outcome) float64 { return o.ensemble.NLL }),
			of(1, 3, func(o outcome) float64 { return average(o, func(s scores) float64 { return s.Entropy }) }),
			seconds)
		if err != nil {
			return err
		}
	}
	return nil
}

// average is the mean of a figure over a run's students.
func average(o outcome, f func(scores) float64) float64 {
	sum := 0.0
	for _, s := range o.students {
		sum += f(s)
	}
	return sum / float64(len(o.students))
}

// moments returns the mean over the runs and the deviation of the sample, NaN of
// one run.
func moments(runs []outcome, f func(outcome) float64) (mean, deviation float64) {
	for _, r := range runs {
		mean += f(r) / float64(len(runs))
	}
	for _, r := range runs {
		d := f(r) - mean
		deviation += d * d
	}
	return mean, math.Sqrt(deviation / float64(len(runs)-1))
}
