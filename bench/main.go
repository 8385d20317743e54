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
	setup := Setup{Python: envOr("DML_PYTHON", "python3"), Script: filepath.Join("bench", "dml_step.py")}
	flag.IntVar(&setup.Pairs, "pairs", 8, "turns of each contender")
	flag.IntVar(&setup.Steps, "steps", 4, "steps a turn")
	flag.StringVar(&setup.Python, "python", setup.Python, "Python with torch ($DML_PYTHON)")
	flag.StringVar(&setup.Script, "script", setup.Script, "the PyTorch contender")
	rivals := flag.String("rivals", "", "comma-separated rivals: contiguous, channels_last, compile (PyTorch's), gorgonia; runs one comparison of the work that the flags describe instead of the whole suite")
	role := flag.String("role", "", "run as a contender, dml or gorgonia; started by the bench itself")
	where := flag.Bool("breakdown", false, "print where one student's step spends its time, instead")
	flag.Parse()
	var err error
	switch {
	case *role != "":
		err = serve(*role, work, os.Stdin, os.Stdout)
	case *where:
		err = breakdown(work, setup.Steps, os.Stdout)
	case *rivals != "":
		err = compare(os.Stdout, setup, contest{work: work, rivals: strings.Split(*rivals, ",")})
	default:
		err = suite(os.Stdout, setup, work.Threads)
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
	peak        float64   // resident MiB
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

// Setup is what all comparisons share.
type Setup struct {
	Python, Script string
	Pairs, Steps   int
}

// contest compares us with rivals at one piece of work.
type contest struct {
	title  string
	work   Work
	rivals []string
	quick  bool // for slow rivals: three turns of one step
}

// launch starts a contender by name.
func (s Setup) launch(name string, work Work) (*contender, error) {
	switch name {
	case "dml", "gorgonia":
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return start(name, exec.Command(self, append(work.args(), "--role", name)...))
	}
	c, err := start("torch "+name, exec.Command(s.Python, append([]string{s.Script, "--format", name}, work.args()...)...))
	if err != nil {
		return nil, fmt.Errorf("%w; %s must be a Python with torch: pip install torch, or set DML_PYTHON", err, s.Python)
	}
	return c, nil
}

func compare(out io.Writer, setup Setup, c contest) error {
	pairs, steps := setup.Pairs, setup.Steps
	if c.quick {
		pairs, steps = 3, 1
	}
	var all []*contender
	for _, name := range append([]string{"dml"}, c.rivals...) {
		one, err := setup.launch(name, c.work)
		if err != nil {
			return err
		}
		defer one.stop()
		all = append(all, one)
	}
	if err := alternate(all, pairs, steps); err != nil {
		return err
	}
	return report(out, c, steps, all)
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

func report(out io.Writer, c contest, steps int, all []*contender) error {
	fmt.Fprintf(out, "%s%s; %s; %d turns of %d steps each, alternated\n", c.title, c.work, machine(), len(all[0].turns), steps)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "contender\tmin s\tmedian s\tmax s\tmedian / ours\tpairwise median\tpeak MiB\tpeak / ours\twhat")
	ours := all[0]
	for _, c := range all {
		ratios := make([]float64, len(c.turns))
		for i := range ratios {
			ratios[i] = c.turns[i] / ours.turns[i]
		}
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.2f\t%.2f\t%.0f\t%.2f\t%s\n", c.name, slices.Min(c.seconds), median(c.seconds), slices.Max(c.seconds),
			median(c.seconds)/median(ours.seconds), median(ratios), c.peak, c.peak/ours.peak, c.about)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// machine describes the processor, where the system tells.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %s, %d cores", runtime.GOOS, model, runtime.NumCPU())
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// peakMemory returns a process's largest resident set in MiB, where the system
// tells, else 0.
func peakMemory(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
			if err != nil {
				return 0
			}
			return kib / 1024
		}
	}
	return 0
}
