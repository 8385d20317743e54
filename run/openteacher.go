package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/train"
)

// ownTeacher is a teacher that a run has opened.
type ownTeacher interface {
	train.Teacher
	Close() error
}

// openTeacher opens the teacher that a configuration names.
func openTeacher(cfg Config, backend *train.Backend) (ownTeacher, error) {
	path := cfg.Teacher.Path
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the teacher cannot be opened: %w", err)
	}
	if !info.IsDir() && !strings.EqualFold(filepath.Ext(path), ".ckpt") {
		t, err := OpenTeacher(path, TeacherOptions{
			Output: cfg.Teacher.Output, Norm: dataset.Norm{Mean: cfg.Teacher.Mean, Std: cfg.Teacher.Std},
			Infer: infer.Options{Threads: cfg.Threads},
		})
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	if cfg.Teacher.Output != "" || len(cfg.Teacher.Mean) > 0 || len(cfg.Teacher.Std) > 0 {
		return nil, fmt.Errorf("%s: a student of a run says itself how it wants its images and what it gives; leave teacher.output, teacher.mean and teacher.std out", path)
	}
	st, err := trainedStudent(path)
	if err != nil {
		return nil, fmt.Errorf("the teacher cannot be opened: %w", err)
	}
	t, err := train.NewFrozenTeacher(st, train.EvaluateOptions{Backend: backend, Threads: cfg.Threads, Batch: cfg.Batch})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
