package warmstart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/train"
)

// parseCheckpoint reads a student's checkpoint; the error wraps
// checkpoint.ErrFormat for other files.
func parseCheckpoint(data []byte) (*Source, error) {
	st, err := train.ParseState(data)
	if err != nil {
		return nil, err
	}
	src := &Source{Format: Checkpoint, Classes: st.Classes, ordered: true}
	src.layers, err = layersOf(st.Network, st.Weights)
	return src, err
}

// bestCheckpoint returns the file of the best student of a run, or of the
// student whose folder it is.
func bestCheckpoint(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if isRun(folder) {
		run, err := rundir.Open(folder)
		if err != nil {
			return "", err
		}
		states, err := run.LoadAll(rundir.Best)
		if err != nil {
			return "", err
		}
		best := states[0]
		for _, st := range states[1:] {
			if st.Best.Accuracy > best.Best.Accuracy {
				best = st
			}
		}
		return run.Checkpoint(best.Name, rundir.Best), nil
	}
	if parent := filepath.Dir(folder); isRun(parent) {
		run, err := rundir.Open(parent)
		if err != nil {
			return "", err
		}
		if _, err := run.Load(filepath.Base(folder), rundir.Best); err != nil {
			return "", err
		}
		return run.Checkpoint(filepath.Base(folder), rundir.Best), nil
	}
	return "", fmt.Errorf("%s: %w: the folder is neither a run nor a student's in one", folder, ErrFormat)
}

func isRun(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "config.yaml"))
	return !errors.Is(err, fs.ErrNotExist)
}
