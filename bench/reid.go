package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
)

// What contenders of re-identification write their scores to.
const oursScores, peerScores = "ours.json", "peer.json"

// sameScores is how near the scores of both are: the peer adds up in float32.
const sameScores = 1e-4

// reidContest is a comparison of package reid with torchreid.
type reidContest struct {
	title, task string
	dim         int
	ratio       float64 // aimed at
	slow        bool    // the peer is: one turn in eight, and no warm-up
	alone       bool    // measures ours only
}

// mostReranking is how much memory re-ranking at full size should need, in MiB,
// features included.
const mostReranking = 1536

// reidContests compares evaluations at the full size of Market-1501.
func reidContests(out io.Writer, setup Setup, threads int, reranking bool) error {
	setup.Script = filepath.Join("bench", "reid_step.py")
	peer := true
	if c, err := start("torchreid", exec.Command(setup.Python, setup.Script)); err != nil {
		fmt.Fprintf(out, "torchreid is left out: %v; %s must be a Python with torch and pyppbox-torchreid\n", err, setup.Python)
		peer = false
	} else {
		c.stop()
	}
	for _, c := range []reidContest{
		{title: "ranking and metrics, of distances", task: taskRank, dim: 512, ratio: 10},
		{title: "distances, ranking and metrics, of 512 features", task: taskWhole, dim: 512, ratio: 10},
		{title: "distances, ranking and metrics, of 2048 features", task: taskWhole, dim: 2048, ratio: 4},
		{title: "distances, re-ranking, ranking and metrics, of 512 features", task: taskRerank, dim: 512, ratio: 10, slow: true},
		{title: "distances, re-ranking, ranking and metrics, of 2048 features", task: taskRerank, dim: 2048, alone: true},
	} {
		if c.task == taskRerank && !reranking {
			continue
		}
		c.alone = c.alone || !peer
		if err := c.run(out, setup, threads); err != nil {
			return fmt.Errorf("re-identification, %s: %w", c.title, err)
		}
	}
	return nil
}

func (c reidContest) run(out io.Writer, setup Setup, threads int) error {
	dir, err := os.MkdirTemp("", "dml-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeReIDData(dir, c.dim, c.task == taskRank); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours, err := start("reid", exec.Command(self, "--role", c.task, "--dir", dir, "--threads", strconv.Itoa(threads)))
	if err != nil {
		return err
	}
	defer ours.stop()
	all := []*contender{ours}
	if !c.alone {
		peer, err := start("torchreid", exec.Command(setup.Python, setup.Script, "--task", c.task, "--dir", dir, "--threads", strconv.Itoa(threads)))
		if err != nil {
			return err
		}
		defer peer.stop()
		all = append(all, peer)
	}
	if err := c.alternate(all, setup.Pairs); err != nil {
		return err
	}
	fmt.Fprintf(out, "re-identification: %s; %d queries, a gallery of %d, %d threads; %d turns, alternated\n",
		c.title, reidQueries, reidGallery, threads, len(ours.turns))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "contender\tmin s\tmedian s\tmax s\tmedian / ours\tpeak MiB\tmAP\trank 1\twhat")
	found := make([]scores, len(all))
	for i, one := range all {
		if found[i], err = readScores(filepath.Join(dir, []string{oursScores, peerScores}[i])); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%.2f\t%.0f\t%.5f\t%.5f\t%s\n", one.name, slices.Min(one.seconds), median(one.seconds),
			slices.Max(one.seconds), median(one.seconds)/median(ours.seconds), one.peak, found[i].MAP, found[i].Rank1, one.about)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if c.task == taskRerank {
		fmt.Fprintf(out, "our peak MiB: %s\n", aim(ours.peak, mostReranking, false))
	}
	if c.alone {
		_, err := fmt.Fprintln(out)
		return err
	}
	if d := max(math.Abs(found[0].MAP-found[1].MAP), math.Abs(found[0].Rank1-found[1].Rank1)); !(d <= sameScores) {
		return fmt.Errorf("the scores differ by %g: %+v, %+v", d, found[0], found[1])
	}
	return verdict(out, contest{ratio: c.ratio, memory: 0.5}, all)
}

// alternate runs the contenders in turn, after a warm-up; a slow peer has fewer
// turns, and no warm-up.
func (c reidContest) alternate(all []*contender, pairs int) error {
	if !c.slow {
		return alternate(all, pairs, 0, 1)
	}
	if err := all[0].run(0, 1); err != nil {
		return err
	}
	all[0].seconds, all[0].turns, all[0].least = nil, nil, nil
	for range max(1, pairs/8) {
		for _, one := range all {
			if err := one.run(0, 1); err != nil {
				return err
			}
		}
	}
	return nil
}
