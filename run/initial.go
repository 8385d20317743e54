package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/run/warmstart"
	"github.com/deepmutual/dml/train"
)

// Initial says where a student's initial weights come from.
type Initial struct {
	Student string
	Network *models.Network
	Report  *warmstart.Report
}

// Initial tells of the students of a run that begins whose initial weights come
// from a file, in their order.
func (r *Run) Initial() []Initial {
	if r.job == nil {
		return nil
	}
	return r.job.initial
}

// sources are the opened files of initial weights, by student.
type sources map[string]*warmstart.Source

// openInitial opens the files that students start from. It makes their paths
// absolute and writes down their SHA-256, so that a run is told from one that
// began with other weights.
func openInitial(cfg *Config) (sources, error) {
	out := make(sources)
	opened := make(map[string]*warmstart.Source) // by path
	for i := range cfg.Students {
		s := &cfg.Students[i]
		if s.Init == "" {
			continue
		}
		path, err := filepath.Abs(s.Init)
		if err != nil {
			return nil, err
		}
		src, ok := opened[path]
		if !ok {
			if src, err = openWeights(path); err != nil {
				return nil, fmt.Errorf("the initial weights of student %q: %w", s.Name, err)
			}
			opened[path] = src
		}
		if s.InitSHA256 != "" && s.InitSHA256 != src.SHA256 {
			return nil, fmt.Errorf("the initial weights of student %q: %s has the SHA-256 %s, students[%d].init_sha256 is %s",
				s.Name, src.Path, src.SHA256, i, s.InitSHA256)
		}
		s.Init, s.InitSHA256 = path, src.SHA256
		out[s.Name] = src
	}
	return out, nil
}

// openWeights opens a file of weights; of a folder the best checkpoint of the
// best student of a run, or of the student whose folder it is.
func openWeights(path string) (*warmstart.Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if path, err = bestCheckpoint(path); err != nil {
			return nil, err
		}
	}
	return warmstart.Open(path)
}

func bestCheckpoint(path string) (string, error) {
	if isRun(path) {
		r, err := Open(path)
		if err != nil {
			return "", err
		}
		states, err := r.States(Best)
		if err != nil {
			return "", err
		}
		best := states[0]
		for _, st := range states[1:] {
			if st.Best.Better(best.Best) {
				best = st
			}
		}
		return r.Checkpoint(best.Name, Best), nil
	}
	r, student, err := openStudent(path)
	if err != nil {
		return "", err
	}
	if _, err := r.State(student, Best); err != nil {
		return "", err
	}
	return r.Checkpoint(student, Best), nil
}

// openStudent opens the run in which a folder is that of a student.
func openStudent(path string) (*Run, string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	parent, name := filepath.Split(path)
	if !isRun(parent) {
		return nil, "", fmt.Errorf("%s: %w, nor the folder of a student in one", path, ErrNoRun)
	}
	r, err := Open(filepath.Clean(parent))
	return r, name, err
}

// calibrationSamples is how many training samples give batch norms that a file has
// folded their statistics, about.
const calibrationSamples = 256

// match gives students the weights of their files.
func (s sources) match(ctx context.Context, cfg train.Config, data dataset.Splits, options train.Options, partial bool) ([]Initial, error) {
	var out []Initial
	opts := warmstart.Options{Classes: data.Train.Classes(), Partial: partial,
		Evaluate: train.EvaluateOptions{Backend: options.Backend, Threads: cfg.Threads}}
	for i := range cfg.Students {
		st := &cfg.Students[i]
		src, ok := s[st.Name]
		if !ok {
			continue
		}
		seeded, err := st.Network.Init(st.Seed)
		if err != nil {
			return nil, err
		}
		if src.Folded() && opts.Samples == nil {
			if opts.Samples, err = train.Samples(ctx, cfg, data, options, calibrationSamples); err != nil {
				return nil, fmt.Errorf("training samples for the statistics of batch norms: %w", err)
			}
		}
		weights, report, err := src.Match(st.Network, seeded, opts)
		if err != nil {
			return nil, fmt.Errorf("the initial weights of student %q: %w", st.Name, err)
		}
		st.Weights = weights
		out = append(out, Initial{st.Name, st.Network, report})
	}
	return out, nil
}
