package warmstart

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/train"
)

// OpenAll opens the files that students of a configuration start from, by the
// students' names. It makes their paths absolute and writes down their SHA-256,
// so that a run can be resumed from any folder and is told from one that began
// with other weights. Defaults must be written out.
func OpenAll(cfg *run.Config) (map[string]*Source, error) {
	out := make(map[string]*Source)
	opened := make(map[string]*Source) // by path
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
			if src, err = Open(path); err != nil {
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

// Apply gives the students of a session that has not begun the weights of these
// files, and returns the reports, both by the students' names. The error names
// the student and wraps what Match wraps.
func Apply(s *train.Session, sources map[string]*Source) (map[string]*Report, error) {
	reports := make(map[string]*Report)
	for _, student := range slices.Sorted(maps.Keys(sources)) {
		src := sources[student]
		net, weights, err := s.Network(student)
		if err != nil {
			return nil, err
		}
		weights, reports[student], err = src.Match(net, weights, Options{Classes: s.Classes()})
		if err != nil {
			return nil, fmt.Errorf("the initial weights of student %q: %w", student, err)
		}
		if err := s.SetInitialWeights(student, weights); err != nil {
			return nil, err
		}
	}
	return reports, nil
}
