package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// suite runs every comparison that docs/performance.md keeps the numbers of.
func suite(out io.Writer, setup Setup, threads int) error {
	resnet := Work{Arch: "resnet32", Students: 2, Batch: 64, Height: 32, Width: 32, Threads: threads}
	mobilenet := Work{Arch: "mobilenet", Students: 2, Batch: 16, Height: 160, Width: 64, Threads: threads}
	one, evaluation, rounded := resnet, resnet, mobilenet
	one.Students, evaluation.Students, evaluation.Evaluate, rounded.BFloat16 = 1, 1, true, true
	if setup.Pairs < leastPairs {
		fmt.Fprintf(out, "%d turns of each contender: for a first look only, at least %d are for publishing\n\n", setup.Pairs, leastPairs)
	}
	torch := []string{"contiguous", "channels_last", "compile"}
	for _, c := range []contest{
		{title: "1. ", work: resnet, rivals: torch, ratio: 1.8, memory: 0.75},
		{title: "2. ", work: mobilenet, rivals: torch, ratio: 1.8, memory: 0.75},
		{title: "3. ", work: one, rivals: torch, ratio: 1.3, memory: 0.75},
		{title: "4. ", work: evaluation, rivals: torch, ratio: 1.3, memory: 0.75},
		{title: "5. ", work: one, rivals: []string{"gorgonia"}, slow: true, ratio: 15},
		{title: "6. ", work: rounded, rivals: torch},
	} {
		if err := compare(out, setup, c); err != nil {
			return err
		}
	}
	return cohorts(out, setup, resnet, 4)
}

// leastScaling is how near the rate of a cohort should come to that of two
// students: images a second times students, on the same cores.
const leastScaling = 0.9

// cohorts compares cohorts of 1 to most students: the images that all students
// together learn from in a second.
func cohorts(out io.Writer, setup Setup, work Work, most int) error {
	var all []*contender
	for k := range most {
		work.Students = k + 1
		c, err := setup.launch("dml", work)
		if err != nil {
			return err
		}
		defer c.stop()
		all = append(all, c)
	}
	if err := alternate(all, setup.Pairs, 0, setup.Steps); err != nil {
		return err
	}
	fmt.Fprintf(out, "7. cohorts of %s, batch %d of %dx%d, %d threads; %d turns of %d steps each, alternated\n",
		work.Arch, work.Batch, work.Height, work.Width, work.Threads, setup.Pairs, setup.Steps)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "students\tmedian s a step\timages/s x students\tpeak MiB\trelative to 2, pairwise")
	for k, c := range all {
		images := (k + 1) * work.Batch
		relative := float64(k+1) / 2 / median(c.over(all[1], false))
		fmt.Fprintf(w, "%d\t%.4f\t%.0f\t%.0f\t%s\n", k+1, median(c.seconds), float64(images)/median(c.seconds), c.peak,
			aim(relative, leastScaling, true))
	}
	return w.Flush()
}
