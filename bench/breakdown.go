package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
)

// breakdown prints where one student's training step, or evaluation, spends its
// time, on one thread: the sums over all ops of a name.
func breakdown(work Work, steps int, out io.Writer) error {
	runtime.LockOSThread()
	backend, err := onednn.Open()
	if err != nil {
		return err
	}
	engine, err := backend.NewEngine(kernel.EngineOptions{Threads: 1, BFloat16: work.BFloat16})
	if err != nil {
		return err
	}
	defer engine.Close()
	net, err := compile(work, engine, 1, !work.Evaluate)
	if err != nil {
		return err
	}
	for i := range net.LogitsGradient() {
		net.LogitsGradient()[i] = float32(i%5) / 100
	}
	total := make(map[string]time.Duration)
	count := make(map[string]int)
	for step := range steps + 2 {
		if step == 2 { // after the warm-up
			net.Trace(func(op string, took time.Duration) {
				total[op] += took
				count[op]++
			})
		}
		if err := net.Forward(); err != nil {
			return err
		}
		if work.Evaluate {
			continue
		}
		if err := net.Backward(); err != nil {
			return err
		}
	}
	var all time.Duration
	for _, d := range total {
		all += d
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(steps) }
	fmt.Fprintf(out, "%s, batch %d, one thread: %.1f ms a step in ops, mean of %d steps; planned memory %.1f MiB\n",
		work.Arch, work.Batch, ms(all), steps, float64(net.Memory().Total())/(1<<20))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "op\tcalls\tms a step\tshare %\t")
	for _, op := range slices.SortedFunc(maps.Keys(total), func(a, b string) int { return int(total[b] - total[a]) }) {
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.1f\t\n", op, count[op]/steps, ms(total[op]), 100*total[op].Seconds()/all.Seconds())
	}
	return w.Flush()
}
