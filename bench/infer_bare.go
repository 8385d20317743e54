//go:build cgo

package main

import (
	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// serveBare runs a session on tensors that are made once.
func serveBare(model string, work Work, o *orders) error {
	// Opened only to load the library and make its environment.
	m, err := infer.Open(infer.Options{}, model)
	if err != nil {
		return err
	}
	defer m.Close()
	options, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	if err := options.SetIntraOpNumThreads(work.Threads); err != nil {
		return err
	}
	if err := options.SetInterOpNumThreads(1); err != nil {
		return err
	}
	n := int64(work.Batch)
	in, err := ort.NewTensor(ort.NewShape(n, 3, int64(work.Height), int64(work.Width)), samples(work))
	if err != nil {
		return err
	}
	defer in.Destroy()
	var outputs []ort.Value
	names := []string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding}
	for _, width := range []int{classes, classes, m.Info().Features} {
		t, err := ort.NewEmptyTensor[float32](ort.NewShape(n, int64(width)))
		if err != nil {
			return err
		}
		defer t.Destroy()
		outputs = append(outputs, t)
	}
	session, err := ort.NewAdvancedSession(model, []string{onnxmeta.Input}, names, []ort.Value{in}, outputs, options)
	if err != nil {
		return err
	}
	defer session.Destroy()
	return repeat(o, "ort.AdvancedSession.Run, ONNX Runtime "+ort.GetVersion(), session.Run)
}
