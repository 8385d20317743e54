package run

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/run/warmstart"
)

// TestStartFromONNX begins with an ONNX file that has folded its batch norms, whose
// statistics then come from the run's data, and with one of another network.
func TestStartFromONNX(t *testing.T) {
	data := tinyData(t)
	start := func(arch string, partial bool) ([]Initial, error) {
		net, err := models.Build("convnet", models.Shape{C: 1, H: 12, W: 12}, 3)
		if err != nil {
			t.Fatal(err)
		}
		weights, err := net.Init(5)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := export.Marshal(net, weights, export.Options{Classes: data.Train.Classes()})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "folded.onnx")
		if err := os.WriteFile(file, bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg := tinyConfig()
		cfg.Students = []StudentConfig{{Name: "a", Arch: arch, Init: file}, {Arch: "convnet"}}
		r, err := Start(t.Context(), cfg, Options{Folder: t.TempDir(), Data: &data, InitPartial: partial})
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return r.Initial(), nil
	}
	initial, err := start("convnet", false)
	if err != nil {
		t.Fatal(err)
	}
	if r := initial[0].Report; r.Calibrated == 0 || len(r.Neutral) == 0 || len(r.Missing) > 0 || len(r.Warnings) > 0 {
		t.Errorf("%s; %+v", r.Summary(), r)
	}
	// Its first convolution has the same name and shape by chance.
	if _, err := start("resnet8", false); !errors.Is(err, warmstart.ErrPartial) {
		t.Errorf("another network: %v", err)
	}
	if initial, err = start("resnet8", true); err != nil || len(initial[0].Report.Missing) == 0 {
		t.Errorf("another network, all the same: %v", err)
	}
}
