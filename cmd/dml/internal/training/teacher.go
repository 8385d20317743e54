package training

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/train"
)

// openTeacher opens the teacher that a configuration names: nil, and nothing to
// close, where its mode has none.
func openTeacher(cfg run.Config, backend *train.Backend) (train.Teacher, io.Closer, error) {
	if cfg.Mode != train.ModeDistill {
		return nil, io.NopCloser(nil), nil
	}
	path := cfg.Teacher.Path
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("the teacher cannot be opened: %w", err)
	}
	if !info.IsDir() && !strings.EqualFold(filepath.Ext(path), ".ckpt") {
		t, err := run.OpenTeacher(path, run.TeacherOptions{
			Output: cfg.Teacher.Output, Norm: dataset.Norm{Mean: cfg.Teacher.Mean, Std: cfg.Teacher.Std},
			Infer: infer.Options{Threads: cfg.Threads},
		})
		if err != nil {
			return nil, nil, err
		}
		return t, t, nil
	}
	if cfg.Teacher.Output != "" || len(cfg.Teacher.Mean) > 0 || len(cfg.Teacher.Std) > 0 {
		return nil, nil, fmt.Errorf("%s: a student of a run says itself how it wants its images and what it gives; leave teacher.output, teacher.mean and teacher.std out", path)
	}
	st, err := trainedStudent(path, info.IsDir())
	if err != nil {
		return nil, nil, fmt.Errorf("the teacher cannot be opened: %w", err)
	}
	t, err := train.NewFrozenTeacher(st, train.EvaluateOptions{Backend: backend, Threads: cfg.Threads, Batch: cfg.Batch})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, t, nil
}

// trainedStudent reads a checkpoint, or the best one of a student whose folder,
// or the folder of whose run, is given.
func trainedStudent(path string, folder bool) (train.State, error) {
	if !folder {
		return train.ReadState(path)
	}
	if _, err := os.Stat(filepath.Join(path, "config.yaml")); errors.Is(err, fs.ErrNotExist) {
		dir, err := rundir.Open(filepath.Dir(path))
		if err != nil {
			return train.State{}, fmt.Errorf("%s is neither a run nor the folder of a student in one", path)
		}
		return dir.Load(filepath.Base(path), rundir.Best)
	}
	dir, err := rundir.Open(path)
	if err != nil {
		return train.State{}, err
	}
	students := dir.Students()
	if len(students) > 1 {
		return train.State{}, fmt.Errorf("the run %s has several students; name one of %s", path,
			filepath.Join(path, "{"+strings.Join(students, ",")+"}"))
	}
	return dir.Load(students[0], rundir.Best)
}
