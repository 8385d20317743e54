package run

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/train"
)

// ExportOptions says what Run.Export writes. The zero value is usable.
type ExportOptions struct {
	// Student is the name of one to export; default: all, a file each.
	Student string
	// Cohort writes all students into one file, cohort.onnx.
	Cohort bool
	// Checkpoint is Best, the default, or Last.
	Checkpoint string
	// Folder to write into; default: onnx in the run's folder, of a cohort the
	// run's folder.
	Folder string
	// Format is what the files shall be like. What is known of the students is
	// filled in.
	Format export.Options
	// Images is how many images of the run's validation data accuracies are
	// compared on. The default is 1000 if the data can be opened; a number of
	// less than 0 is none.
	Images int
	// Backend that computes the training code's outputs; default: that which the
	// run was trained on.
	Backend *train.Backend
}

// Export writes students of the run to ONNX files, each after ONNX Runtime has
// given the outputs of the training code for the samples of Reference, and
// returns what was written, also before an error.
func (r *Run) Export(ctx context.Context, opts ExportOptions) ([]ExportReport, error) {
	which := cmp.Or(opts.Checkpoint, Best)
	var states []train.State
	var err error
	if opts.Student == "" {
		states, err = r.States(which)
	} else {
		states = make([]train.State, 1)
		states[0], err = r.State(opts.Student, which)
	}
	if err != nil {
		return nil, err
	}
	samples, err := r.Reference()
	if err != nil {
		return nil, err
	}
	file := FileOptions{Inputs: samples.Inputs, Samples: samples.N, Format: opts.Format}
	if file.Evaluate.Backend, err = r.backend(opts.Backend); err != nil {
		return nil, err
	}
	file.Validation, err = r.validation(opts.Images)
	if err != nil && opts.Images > 0 {
		return nil, fmt.Errorf("accuracies cannot be compared: %w", err)
	}
	notCompared := err
	var reports []ExportReport
	keep := func(report ExportReport, err error) error {
		if err == nil {
			report.NotCompared = notCompared
			reports = append(reports, report)
		}
		return err
	}
	if opts.Cohort {
		path := filepath.Join(cmp.Or(opts.Folder, r.Path()), "cohort.onnx")
		err := keep(ExportCohort(ctx, path, states, file))
		return reports, err
	}
	for _, st := range states {
		path := filepath.Join(cmp.Or(opts.Folder, filepath.Join(r.Path(), "onnx")), st.Name+".onnx")
		if err := keep(ExportStudent(ctx, path, st, file)); err != nil {
			return reports, err
		}
	}
	return reports, nil
}

// validation opens so many images of the run's validation data; nil for none.
func (r *Run) validation(images int) (dataset.Dataset, error) {
	if images < 0 {
		return nil, nil
	}
	data, err := r.cfg.OpenData()
	if err != nil {
		return nil, err
	}
	if data.Val == nil || data.Val.Len() == 0 {
		return nil, fmt.Errorf("%s has no validation part", r.cfg.Data.Path)
	}
	return dataset.Limit(data.Val, min(cmp.Or(images, 1000), data.Val.Len()), r.cfg.Seed)
}
