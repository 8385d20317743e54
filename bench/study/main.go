// Command study repeats a study of docs/results.md: it trains every variant of
// a study file with several seeds, measures the students on test data, and
// prints a table of means and deviations.
//
//	go run ./bench/study -data cifar10-jpeg configs/studies/modes.yaml
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Study is the content of a study file.
type Study struct {
	Common   []string  `yaml:"common"`   // flags of dml train that all runs share
	Students []string  `yaml:"students"` // of all runs but teachers'
	Seeds    []int     `yaml:"seeds"`
	Variants []Variant `yaml:"variants"`
}

// Variant is one way to train.
type Variant struct {
	Name  string   `yaml:"name"`
	Flags []string `yaml:"flags"`
	// Teacher are the flags, beside the common ones, of a run that is trained
	// first, and whose folder the variant gets as --teacher.
	Teacher []string `yaml:"teacher"`
}

// scores are those of dml eval --json.
type scores struct {
	Accuracy float64 `json:"accuracy"`
	NLL      float64 `json:"nll"`
	Entropy  float64 `json:"entropy"`
}

// outcome is what one run came to.
type outcome struct {
	students []scores
	ensemble scores
	seconds  float64
}

func main() {
	data := flag.String("data", "", "the `PATH` of the data, which has a test part")
	out := flag.String("out", "runs", "put the runs into `DIR`; those that are there are finished, not repeated")
	command := flag.String("dml", filepath.Join("bin", "dml"), "the `COMMAND`")
	flag.Parse()
	if flag.NArg() != 1 || *data == "" {
		fmt.Fprintln(os.Stderr, "study: give -data PATH and one study file")
		os.Exit(2)
	}
	if err := run(*command, *data, *out, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "study:", err)
		os.Exit(1)
	}
}

func run(command, data, out, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var study Study
	if err := yaml.UnmarshalWithOptions(text, &study, yaml.Strict()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r := runner{command: command, data: data, dir: filepath.Join(out, strings.TrimSuffix(filepath.Base(path), ".yaml"))}
	results := make(map[string][]outcome)
	// Seed by seed, so that a study that is cut short has whole comparisons.
	for _, seed := range study.Seeds {
		for _, v := range study.Variants {
			o, err := r.variant(study, v, seed)
			if err != nil {
				return fmt.Errorf("%s, seed %d: %w", v.Name, seed, err)
			}
			results[v.Name] = append(results[v.Name], o)
		}
	}
	return table(os.Stdout, study, results)
}

type runner struct{ command, data, dir string }

func (r runner) variant(study Study, v Variant, seed int) (outcome, error) {
	flags := slices.Clone(v.Flags)
	if v.Teacher != nil {
		teacher, _, err := r.train("teacher of "+v.Name, seed, study.Common, v.Teacher)
		if err != nil {
			return outcome{}, fmt.Errorf("teacher: %w", err)
		}
		flags = append(flags, "--teacher", teacher)
	}
	for _, s := range study.Students {
		flags = append(flags, "--student", s)
	}
	dir, seconds, err := r.train(v.Name, seed, study.Common, flags)
	if err != nil {
		return outcome{}, err
	}
	answer, err := r.dml("eval", dir, "--data", r.data, "--split", "test", "--checkpoint", "last", "--threads", "1", "--json")
	if err != nil {
		return outcome{}, err
	}
	var evaluation struct {
		Students []scores `json:"students"`
		Ensemble scores   `json:"ensemble"`
	}
	if err := json.Unmarshal(answer, &evaluation); err != nil {
		return outcome{}, fmt.Errorf("dml eval: %w", err)
	}
	return outcome{evaluation.Students, evaluation.Ensemble, seconds}, nil
}

// train trains, or finishes, a run and returns its folder and the seconds of its
// epochs.
func (r runner) train(name string, seed int, flags ...[]string) (string, float64, error) {
	name = fmt.Sprintf("%s-%d", strings.Map(func(c rune) rune {
		if c == ' ' || c == ',' {
			return '-'
		}
		return c
	}, name), seed)
	dir := filepath.Join(r.dir, name)
	args := []string{"train", "--resume", dir}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		args = append([]string{"train", "--data", r.data, "--out", r.dir, "--name", name, "--seed", fmt.Sprint(seed)}, slices.Concat(flags...)...)
	} else if err != nil {
		return "", 0, err
	}
	begin := time.Now()
	if _, err := r.dml(append(args, "--quiet")...); err != nil {
		return "", 0, err
	}
	fmt.Fprintf(os.Stderr, "%s: %.0f s\n", dir, time.Since(begin).Seconds())
	seconds, err := epochSeconds(filepath.Join(dir, "metrics.jsonl"))
	return dir, seconds, err
}

func epochSeconds(path string) (float64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range bytes.Lines(text) {
		var epoch struct {
			Seconds float64 `json:"seconds"`
		}
		if err := json.Unmarshal(line, &epoch); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += epoch.Seconds
	}
	return sum, nil
}

// dml runs the command and returns its standard output.
func (r runner) dml(args ...string) ([]byte, error) {
	cmd := exec.Command(r.command, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("dml %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
