package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/run/internal/folder"
	"github.com/deepmutual/dml/train"
)

// ownTeacher is a teacher that a run has opened.
type ownTeacher interface {
	train.Teacher
	Close() error
}

// openTeacher opens the teacher of mode distill at the configuration's
// teacher.path: an ONNX file by OpenTeacher, a student of a run as a
// train.FrozenTeacher.
func (c Config) openTeacher(backend *train.Backend) (ownTeacher, error) {
	path := c.Teacher.Path
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the teacher cannot be opened: %w", err)
	}
	if !info.IsDir() && !strings.EqualFold(filepath.Ext(path), ".ckpt") {
		t, err := OpenTeacher(path, TeacherOptions{
			Output: c.Teacher.Output, Norm: dataset.Norm{Mean: c.Teacher.Mean, Std: c.Teacher.Std},
			Infer: infer.Options{Threads: c.Threads},
		})
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	if c.Teacher.Output != "" || len(c.Teacher.Mean) > 0 || len(c.Teacher.Std) > 0 {
		return nil, fmt.Errorf("%s: a student of a run says itself how it wants its images and what it gives; leave teacher.output, teacher.mean and teacher.std out", path)
	}
	st, err := trainedStudent(path)
	if err != nil {
		return nil, fmt.Errorf("the teacher cannot be opened: %w", err)
	}
	t, err := train.NewFrozenTeacher(st, train.EvaluateOptions{Backend: backend, Threads: c.Threads, Batch: c.Batch})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// trainedStudent reads a checkpoint, or the best one of a student whose folder,
// or the folder of whose run, is given.
func trainedStudent(path string) (train.State, error) {
	info, err := os.Stat(path)
	if err != nil {
		return train.State{}, err
	}
	if !info.IsDir() {
		return folder.ReadState(path)
	}
	if !isRun(path) {
		r, student, err := openStudent(path)
		if err != nil {
			return train.State{}, err
		}
		return r.State(student, Best)
	}
	r, err := Open(path)
	if err != nil {
		return train.State{}, err
	}
	students := r.Students()
	if len(students) > 1 {
		return train.State{}, fmt.Errorf("the run %s has several students; name one of %s", path,
			filepath.Join(path, "{"+strings.Join(students, ",")+"}"))
	}
	return r.State(students[0], Best)
}
