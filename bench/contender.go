package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// contender is a process that answers "N\n" with the seconds of each of N
// steps, a JSON array on a line. Its first line is the number of parameters of
// each of its networks, or 0, and what it is.
type contender struct {
	name, about string
	parameters  int // of each network; 0 when it does not tell
	cmd         *exec.Cmd
	in          io.WriteCloser
	out         *bufio.Reader
	seconds     []float64
	turns       []float64 // the median of each turn
	least       []float64 // the least of each turn
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
	line, err := c.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s did not start: %w", name, errors.Join(err, cmd.Wait()))
	}
	parameters, about, _ := strings.Cut(strings.TrimSpace(line), " ")
	if c.parameters, err = strconv.Atoi(parameters); err != nil {
		c.stop()
		return nil, fmt.Errorf("%s began with %q: want a number of parameters", name, line)
	}
	c.about = about
	return c, nil
}

// run does a turn: steps that count, after some that do not.
func (c *contender) run(uncounted, steps int) error {
	if _, err := fmt.Fprintln(c.in, uncounted+steps); err != nil {
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
	if len(seconds) != uncounted+steps {
		return fmt.Errorf("%s did %d steps instead of %d", c.name, len(seconds), uncounted+steps)
	}
	seconds = seconds[uncounted:]
	c.seconds = append(c.seconds, seconds...)
	c.turns = append(c.turns, median(seconds))
	c.least = append(c.least, slices.Min(seconds))
	c.peak = peakMemory(c.cmd.Process.Pid)
	return nil
}

func (c *contender) stop() {
	c.in.Close()
	c.cmd.Wait()
}

// launch starts a contender by name.
func (s Setup) launch(name string, work Work) (*contender, error) {
	switch name {
	case "dml", "gorgonia", roleInfer, roleBare, rolePrepare, roleOSNet, roleEmbed:
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self, append(work.args(), "--role", name, "--model", s.Model)...)
		if s.Library != "" {
			cmd.Env = append(os.Environ(), ortlib.EnvLibrary+"="+s.Library)
		}
		return start(name, cmd)
	case rolePython:
		return start("Python", exec.Command(s.Python, append([]string{s.Script, "--model", s.Model}, work.args()...)...))
	}
	c, err := start("torch "+name, exec.Command(s.Python, append([]string{s.Script, "--format", name}, work.args()...)...))
	if err != nil {
		return nil, fmt.Errorf("%w; %s must be a Python with torch: pip install torch, or set DML_PYTHON", err, s.Python)
	}
	return c, nil
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
