package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/deepmutual/dml/bench/machine"
)

// leastPairs is how many turns of each contender a published ratio needs.
const leastPairs = 8

// Setup is what all comparisons share.
type Setup struct {
	Python, Script string
	Model          string // ONNX file of contenders that infer
	Pairs, Steps   int
	Limits         machine.Limits
}

// contest compares us with rivals at one piece of work.
type contest struct {
	title  string
	work   Work
	rivals []string
	ours   string // the contender that is ours; "dml" where empty
	slow   bool   // a rival is: turns of one step
	// What is aimed at, 0 where nothing is: the best rival's time over ours at
	// least, and our memory over the least of the rivals' at most.
	ratio, memory float64
}

func compare(out io.Writer, setup Setup, c contest) error {
	steps := setup.Steps
	if c.slow {
		steps = 1
	}
	var all []*contender
	for _, name := range append([]string{cmp.Or(c.ours, "dml")}, c.rivals...) {
		one, err := setup.launch(name, c.work)
		if err != nil {
			return err
		}
		defer one.stop()
		if ours := append(all, one)[0]; one.parameters != 0 && one.parameters != ours.parameters {
			return fmt.Errorf("%s has networks of %d parameters, %s of %d: they do other work", ours.name, ours.parameters, one.name, one.parameters)
		}
		all = append(all, one)
	}
	if err := alternate(all, setup.Pairs, steps); err != nil {
		return err
	}
	return report(out, setup, c, steps, all)
}

// alternate lets every contender run in turn; the first turn is a warm-up.
func alternate(all []*contender, pairs, steps int) error {
	for turn := range pairs + 1 {
		for _, c := range all {
			if err := c.run(steps); err != nil {
				return err
			}
			if turn == 0 {
				c.seconds, c.turns = nil, nil
			}
		}
	}
	return nil
}

func report(out io.Writer, setup Setup, c contest, steps int, all []*contender) error {
	operations, err := c.work.operations()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s%s; %d turns of %d steps each, alternated\n", c.title, c.work, len(all[0].turns), steps)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "contender\tmin s\tmedian s\tmax s\tmedian / ours\tpairwise median\tGFLOP/s\t% of peak\tpeak MiB\twhat")
	ours := all[0]
	for _, c := range all {
		speed := operations / median(c.seconds) / 1e9
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.2f\t%.2f\t%.0f\t%s\t%.0f\t%s\n", c.name, slices.Min(c.seconds), median(c.seconds),
			slices.Max(c.seconds), median(c.seconds)/median(ours.seconds), median(c.over(ours)), speed,
			share(speed, setup.Limits.PeakAll), c.peak, c.about)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return verdict(out, c, all)
}

// over returns, of each turn, how many times the rival's time this one's was.
func (c *contender) over(rival *contender) []float64 {
	ratios := make([]float64, len(c.turns))
	for i := range ratios {
		ratios[i] = c.turns[i] / rival.turns[i]
	}
	return ratios
}

// verdict prints the ratios to the best rival, medians over the turns, beside
// what is aimed at.
func verdict(out io.Writer, c contest, all []*contender) error {
	ours, rivals := all[0], all[1:]
	if len(rivals) == 0 {
		return nil
	}
	ratio := func(r *contender) float64 { return median(r.over(ours)) }
	fastest := slices.MinFunc(rivals, func(a, b *contender) int { return cmp.Compare(ratio(a), ratio(b)) })
	least := slices.MinFunc(rivals, func(a, b *contender) int { return cmp.Compare(a.peak, b.peak) })
	line := fmt.Sprintf("best rival (%s) / ours, pairwise: %s", fastest.name, aim(ratio(fastest), c.ratio, true))
	if least.peak > 0 {
		line += fmt.Sprintf("; our peak memory / the least (%s): %s", least.name, aim(ours.peak/least.peak, c.memory, false))
	}
	_, err := fmt.Fprintln(out, line+"\n")
	return err
}

// aim formats a value and whether it reaches its target.
func aim(value, target float64, atLeast bool) string {
	text := fmt.Sprintf("%.2f", value)
	if target == 0 {
		return text
	}
	sign, reached := "<=", value <= target
	if atLeast {
		sign, reached = ">=", value >= target
	}
	if reached {
		return fmt.Sprintf("%s (target %s %g: reached)", text, sign, target)
	}
	return fmt.Sprintf("%s (target %s %g: MISSED)", text, sign, target)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
