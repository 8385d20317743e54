package demo

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/train"
)

// exported are the ONNX files of students that were trained together.
type exported struct {
	names, paths []string
	parameters   []int
}

// fit trains students, and exports each to a file of that prefix.
func fit(ctx context.Context, cfg train.Config, splits dataset.Splits, title, prefix string, opts Options) (exported, error) {
	session, err := train.New(cfg, splits, train.Options{Backend: opts.Backend})
	if err != nil {
		return exported{}, err
	}
	defer session.Close()
	summary, err := session.Run(ctx, nil, opts.Stage(title, &cfg))
	if err != nil {
		return exported{}, err
	}
	if summary.Stopped == train.StopInterrupt {
		return exported{}, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	inputs, n, err := session.Reference(ctx, 16)
	if err != nil {
		return exported{}, err
	}
	opts.Stage("exporting to ONNX, and comparing ONNX Runtime's outputs with the training code's", nil)
	var files exported
	for i, st := range session.States() {
		path := filepath.Join(opts.Out, prefix+st.Name+".onnx")
		if _, err := run.ExportStudent(ctx, path, st, run.FileOptions{Inputs: inputs, Samples: n,
			Evaluate: train.EvaluateOptions{Backend: opts.Backend}, Format: export.Options{Version: opts.Version}}); err != nil {
			return exported{}, err
		}
		files.names, files.paths = append(files.names, st.Name), append(files.paths, path)
		files.parameters = append(files.parameters, summary.Students[i].Parameters)
	}
	return files, nil
}
