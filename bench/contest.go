package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/deepmutual/dml/bench/machine"
)

// leastPairs is how many turns of each contender a published ratio needs.
const leastPairs = 8

// Short steps are compared in many short turns, by the least step of each: what
// the machine does beside only ever adds, and two threads that a virtual machine
// puts on one core take twice as long for a whole turn. The first step of a turn
// does not count: the threads of the contender before may still spin, and the
// caches are cold.
const (
	shortTurn      = 50 * time.Millisecond
	shortPairs     = 32
	leastShortStep = 3
)

// Setup is what all comparisons share.
type Setup struct {
	Python, Script string
	Model          string // ONNX file of contenders that infer
	Library        string // ONNX Runtime's, of contenders in Go; "" is what package infer finds
	Dir            string // data of contenders that evaluate re-identification
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
	short  bool   // steps are: many turns of shortTurn each
	// What is aimed at, 0 where nothing is: the best rival's time over ours at
	// least, and our memory over the least of the rivals' at most.
	ratio, memory float64
}

func compare(out io.Writer, setup Setup, c contest) error {
	pairs, steps, uncounted := setup.Pairs, setup.Steps, 0
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
	if c.short {
		var err error
		pairs, uncounted = max(pairs, shortPairs), 1
		if steps, err = stepsOf(shortTurn, all[0]); err != nil {
			return err
		}
	}
	if err := alternate(all, pairs, uncounted, steps); err != nil {
		return err
	}
	return report(out, setup, c, steps, all)
}

// stepsOf returns how many steps of a contender fill a turn.
func stepsOf(turn time.Duration, c *contender) (int, error) {
	if err := c.run(3, 5); err != nil {
		return 0, err
	}
	return max(leastShortStep, int(turn.Seconds()/median(c.seconds))), nil
}

// alternate lets every contender run in turn, each turn another one first; the
// first turn is a warm-up.
func alternate(all []*contender, pairs, uncounted, steps int) error {
	for turn := range pairs + 1 {
		for i := range all {
			c := all[(turn+i)%len(all)]
			if err := c.run(uncounted, steps); err != nil {
				return err
			}
			if turn == 0 {
				c.seconds, c.turns, c.least = nil, nil, nil
			}
		}
	}
	return nil
}

func report(out io.Writer, setup Setup, match contest, steps int, all []*contender) error {
	operations, err := match.work.operations()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s%s; %d turns of %d steps each, alternated\n", match.title, match.work, len(all[0].turns), steps)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "contender\tmin s\tmedian s\tmax s\tmedian / ours\tpairwise median\tGFLOP/s\t% of peak\tpeak MiB\twhat")
	ours := all[0]
	for _, c := range all {
		speed := operations / median(c.seconds) / 1e9
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.2f\t%.2f\t%.0f\t%s\t%.0f\t%s\n", c.name, slices.Min(c.seconds), median(c.seconds),
			slices.Max(c.seconds), median(c.seconds)/median(ours.seconds), median(c.over(ours, match.short)), speed,
			share(speed, setup.Limits.PeakAll), c.peak, c.about)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return verdict(out, match, all)
}

// over returns, of each turn, how many times the rival's time this one's was: by
// the medians of the turns, or by their least steps.
func (c *contender) over(rival *contender, least bool) []float64 {
	ours, theirs := c.turns, rival.turns
	if least {
		ours, theirs = c.least, rival.least
	}
	ratios := make([]float64, len(ours))
	for i := range ratios {
		ratios[i] = ours[i] / theirs[i]
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
	ratio := func(r *contender) float64 { return median(r.over(ours, c.short)) }
	fastest := slices.MinFunc(rivals, func(a, b *contender) int { return cmp.Compare(ratio(a), ratio(b)) })
	least := slices.MinFunc(rivals, func(a, b *contender) int { return cmp.Compare(a.peak, b.peak) })
	line := fmt.Sprintf("best rival (%s) / ours, pairwise: %s", fastest.name, aim(ratio(fastest), c.ratio, true))
	if c.short {
		line = fmt.Sprintf("best rival (%s) / ours, least step of each turn, pairwise: %s", fastest.name, aim(ratio(fastest), c.ratio, true))
	}
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
		return fmt.Sprintf("%s (target %s %.4g: reached)", text, sign, target)
	}
	return fmt.Sprintf("%s (target %s %.4g: MISSED)", text, sign, target)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
