// Command bench times a step of mutual learning against PyTorch.
//
// Every contender is a process of its own that prepares the same work and then
// waits; the bench lets one run a few steps, then the next, in turn, so that a
// machine that gets slower or faster does so for all. It prints the medians
// over all steps, and the ratio of each contender's median to ours.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	var work Work
	flag.StringVar(&work.Arch, "arch", "resnet32", "architecture of every student")
	flag.IntVar(&work.Students, "students", 2, "number of students")
	flag.IntVar(&work.Batch, "batch", 64, "images a mini-batch")
	flag.IntVar(&work.Height, "height", 32, "of the images")
	flag.IntVar(&work.Width, "width", 32, "of the images")
	flag.BoolVar(&work.Evaluate, "evaluate", false, "time the forward pass of evaluation instead of a training step")
	flag.IntVar(&work.Threads, "threads", runtime.NumCPU(), "threads of each contender")
	pairs := flag.Int("pairs", 8, "turns of each contender")
	steps := flag.Int("steps", 4, "steps a turn")
	python := flag.String("python", envOr("DML_PYTHON", "python3"), "Python with torch ($DML_PYTHON)")
	script := flag.String("script", filepath.Join("bench", "dml_step.py"), "the PyTorch contender")
	formats := flag.String("torch", "contiguous,channels_last", "PyTorch variants: contiguous, channels_last, compile")
	worker := flag.Bool("worker", false, "run as our contender; started by the bench itself")
	where := flag.Bool("breakdown", false, "print where one student's step spends its time, instead")
	flag.Parse()
	var err error
	switch {
	case *worker:
		err = serve(work, os.Stdin, os.Stdout)
	case *where:
		err = breakdown(work, *steps, os.Stdout)
	default:
		err = compare(work, *pairs, *steps, *python, *script, strings.Split(*formats, ","))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// Work is what every contender does.
type Work struct {
	Arch                     string
	Students, Batch, Threads int
	Height, Width            int
	Evaluate                 bool
}

func (w Work) String() string {
	what := "a mutual learning step"
	switch {
	case w.Evaluate:
		what = "an evaluation forward pass"
	case w.Students == 1:
		what = "a training step"
	}
	return fmt.Sprintf("%s of %s x%d, batch %d of %dx%d, %d threads", what, w.Arch, w.Students, w.Batch, w.Height, w.Width, w.Threads)
}

func (w Work) args() []string {
	args := []string{"--arch", w.Arch}
	for _, a := range []struct {
		name  string
		value int
	}{{"students", w.Students}, {"batch", w.Batch}, {"threads", w.Threads}, {"height", w.Height}, {"width", w.Width}} {
		args = append(args, "--"+a.name, strconv.Itoa(a.value))
	}
	if w.Evaluate {
		args = append(args, "--evaluate")
	}
	return args
}

// contender is a process that answers "N\n" with the seconds of each of N
// steps, a JSON array on a line. Its first line says what it is.
type contender struct {
	name, about string
	cmd         *exec.Cmd
	in          io.WriteCloser
	out         *bufio.Reader
	seconds     []float64
	turns       []float64 // the median of each turn
	peak        string
}

func start(name string, cmd *exec.Cmd) (*contender, error) {
	c := &contender{name: name, cmd: cmd}
	cmd.Stderr = os.Stderr
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if c.about, err = c.out.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("%s did not start: %w", name, errors.Join(err, cmd.Wait()))
	}
	c.about = strings.TrimSpace(c.about)
	return c, nil
}

func (c *contender) run(steps int) error {
	if _, err := fmt.Fprintln(c.in, steps); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s stopped: %w", c.name, err)
	}
	var seconds []float64
	if err := json.Unmarshal(line, &seconds); err != nil {
		return fmt.Errorf("%s answered %q: %w", c.name, line, err)
	}
	c.seconds = append(c.seconds, seconds...)
	c.turns = append(c.turns, median(seconds))
	c.peak = peakMemory(c.cmd.Process.Pid)
	return nil
}

func (c *contender) stop() {
	c.in.Close()
	c.cmd.Wait()
}

func compare(work Work, pairs, steps int, python, script string, formats []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours, err := start("dml", exec.Command(self, append(work.args(), "--worker")...))
	if err != nil {
		return err
	}
	defer ours.stop()
	all := []*contender{ours}
	for _, format := range formats {
		args := append([]string{script, "--format", format}, work.args()...)
		c, err := start("torch "+format, exec.Command(python, args...))
		if err != nil {
			return fmt.Errorf("%w\n%s must be a Python with torch: pip install torch, or set DML_PYTHON", err, python)
		}
		defer c.stop()
		all = append(all, c)
	}
	for turn := range pairs + 1 {
		for _, c := range all {
			if err := c.run(steps); err != nil {
				return err
			}
			if turn == 0 { // warm-up
				c.seconds, c.turns = nil, nil
			}
		}
	}
	return report(os.Stdout, work, steps, all)
}

func report(out io.Writer, work Work, steps int, all []*contender) error {
	fmt.Fprintf(out, "%s; %s/%s, %d cores; %d turns of %d steps each, alternated\n",
		work, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), len(all[0].turns), steps)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "contender\tmin s\tmedian s\tmax s\tmedian / ours\tpairwise median\tpeak memory\twhat")
	ours := all[0]
	for _, c := range all {
		ratios := make([]float64, len(c.turns))
		for i := range ratios {
			ratios[i] = c.turns[i] / ours.turns[i]
		}
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.2f\t%.2f\t%s\t%s\n", c.name, slices.Min(c.seconds), median(c.seconds), slices.Max(c.seconds),
			median(c.seconds)/median(ours.seconds), median(ratios), c.peak, c.about)
	}
	return w.Flush()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// peakMemory returns a process's largest resident set, where the system tells.
func peakMemory(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
