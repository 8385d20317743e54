package lower_test

import (
	"context"
	"errors"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// The two lowerings of a description must agree: what the Gorgonia graph
// computes equals what ONNX Runtime computes on the exported file.

// openExported opens a network's ONNX file in ONNX Runtime, or skips the test
// where that is not installed.
func openExported(t *testing.T, model []byte) *infer.Model {
	t.Helper()
	m, err := infer.OpenBytes(infer.Options{}, model)
	if errors.Is(err, infer.ErrNoRuntime) || errors.Is(err, infer.ErrRuntimeTooOld) {
		t.Skipf("not compared with ONNX Runtime: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// checkExported compares both lowerings, with batch norms folded and kept.
func checkExported(t *testing.T, net *models.Network, batch int) {
	t.Helper()
	w := randomWeights(t, net)
	input := make([]float32, batch*net.Input.Size())
	fill(newRand(), input)
	var exported []infer.Outputs
	for _, keep := range []bool{false, true} {
		model, err := export.Marshal(net, w, export.Options{KeepBatchNorm: keep})
		if err != nil {
			t.Fatal(err)
		}
		out, err := openExported(t, model).Run(context.Background(), input, batch)
		if err != nil {
			t.Fatal(err)
		}
		exported = append(exported, out)
	}
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		n := compile(t, net, engine, lower.Options{Batch: batch})
		if err := n.SetWeights(w); err != nil {
			t.Fatal(err)
		}
		copy(n.Input(), input)
		run(t, n.Forward)
		probabilities := softmax(t, engine, n.Logits(), batch)
		for i, kind := range []string{"folded", "kept"} {
			checkNear(t, "batch norms "+kind+": logits", exported[i].Logits, n.Logits(), 1e-5)
			checkNear(t, "batch norms "+kind+": probabilities", exported[i].Probabilities, probabilities, 1e-5)
			checkNear(t, "batch norms "+kind+": embedding", exported[i].Embedding, n.Embedding(), 1e-5)
		}
	})
}

func TestEveryKindEqualsItsExport(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			checkExported(t, r.network(t, false), 2)
			checkExported(t, r.network(t, true), 1) // batch norms behind a convolution
		})
	}
}

func TestArchitecturesEqualTheirExports(t *testing.T) {
	for _, a := range models.Catalog() {
		switch a.Name {
		case "mobilenet0.5", "mobilenet0.75", "mobilenet0.5-tf", "mobilenet0.75-tf", "inception0.5", "inception0.75",
			"osnet0.5", "osnet0.75", "mobilenetv2-0.5", "mobilenetv2-1.4", "resnet18-ls1", "resnet34", "resnet34-ls1", "resnet50-ls1":
			continue // between two that are tested, or no other layers than one
		case "wrn-28-10":
			a.Name = "wrn-10-2" // the same layers, but fewer
		}
		t.Run(a.Name, func(t *testing.T) {
			net := build(t, a.Name, models.Shape{C: 3, H: 9, W: 11})
			if a.Name == "resnet50" {
				net = frontOf(t, net, "layer2.0.relu") // at full depth random logits are in the hundreds
			}
			checkExported(t, net, 2)
		})
	}
	// Stems for large images.
	for _, name := range []string{"mobilenet0.25", "mobilenet0.25-tf", "inception0.25", "osnet0.25", "mobilenetv2-0.35", "resnet18-ls1"} {
		t.Run(name+" at 67x64", func(t *testing.T) {
			checkExported(t, build(t, name, models.Shape{C: 3, H: 67, W: 64}), 1)
		})
	}
}
