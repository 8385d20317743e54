package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/deepmutual/dml/bench/machine"
)

// describe prints the machine and its limits on one core and on so many.
func describe(out io.Writer, threads int) (machine.Limits, error) {
	fmt.Fprintf(out, "%s/%s, %s, %d cores, %s, %s\n", runtime.GOOS, runtime.GOARCH,
		field("/proc/cpuinfo", "model name"), runtime.NumCPU(), memory(), runtime.Version())
	l, err := machine.Measure(threads)
	if err != nil {
		return l, err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "the machine's limits\t1 core\t%d cores\t\n", l.Cores)
	fmt.Fprintf(w, "multiply-adds in registers (%s), GFLOP/s\t%.1f\t%.1f\t\n", l.ISA, l.PeakOne, l.PeakAll)
	fmt.Fprintf(w, "memory, STREAM's triad, GB/s\t%.1f\t%.1f\t\n", l.TriadOne, l.TriadAll)
	if err := w.Flush(); err != nil {
		return l, err
	}
	if n := l.PeakAll / l.PeakOne; n < 0.9*float64(l.Cores) {
		fmt.Fprintf(out, "note: %d cores reach %.1f times the peak of one: something else runs, they share their units, or slow down together\n", l.Cores, n)
	}
	_, err = fmt.Fprint(out, "GFLOP/s below count the multiply-adds of the definition, forward times three in training; Winograd's\n"+
		"algorithm does fewer, so that more than 100 % of the peak is possible.\n\n")
	return l, err
}

// share formats a speed as a percentage of the peak.
func share(speed, peak float64) string {
	if peak == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", 100*speed/peak)
}

// memory describes the machine's memory.
func memory() string {
	var kib float64
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%g kB", &kib); err != nil {
		return "unknown memory"
	}
	return fmt.Sprintf("%.1f GiB of memory", kib/(1<<20))
}

// field returns the first value of a name in a file of the system's, where it
// has such files.
func field(path, name string) string {
	if text, err := os.ReadFile(path); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown"
}
