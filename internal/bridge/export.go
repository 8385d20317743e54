package bridge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/train"
)

// ExportOptions configures Export.
type ExportOptions struct {
	// Inputs holds Samples preprocessed samples to verify on.
	Inputs  []float32
	Samples int
	// Evaluate says how the training code computes its logits.
	Evaluate      train.EvaluateOptions
	KeepBatchNorm bool
	Version       string // of the toolkit, for the file's metadata
}

// Export writes a student to the ONNX file at path, and makes its folder,
// after ONNX Runtime has given the same logits for the file's bytes as the
// training code gives. It returns how far they are apart, relative to their
// scale. On an error path is as it was before.
func Export(ctx context.Context, path string, st train.State, opts ExportOptions) (deviation float64, err error) {
	model, err := export.Marshal(st.Network, st.Weights, export.Options{
		Classes: st.Classes, Mean: st.Norm.Mean, Std: st.Norm.Std, Dataset: st.Dataset,
		Mode: string(st.Mode), Version: opts.Version, KeepBatchNorm: opts.KeepBatchNorm,
	})
	if err != nil {
		return 0, err
	}
	want, err := train.Logits(st, opts.Inputs, opts.Samples, opts.Evaluate)
	if err != nil {
		return 0, err
	}
	report, err := verify.Bytes(ctx, model, verify.Reference{Samples: opts.Samples, Inputs: opts.Inputs, Logits: want}, verify.Options{})
	if err != nil {
		return 0, fmt.Errorf("student %q is not written to %s: %w", st.Name, path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, err
	}
	return report.Relative(), export.WriteFile(path, model)
}
