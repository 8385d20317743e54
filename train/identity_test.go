package train

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/train/optim"
)

// TestOlderStatesGoOn: testdata/train/identity.json is what a session wrote into its
// states when settings were those of a configuration file.
func TestOlderStatesGoOn(t *testing.T) {
	old, err := os.ReadFile(filepath.Join("..", "testdata", "train", "identity.json"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := tinyConfig()
	cfg.Height, cfg.Width, cfg.NoWinograd, cfg.LabelSmoothing, cfg.Views = 10, 10, true, 0.1, ViewsPerStudent
	cfg.Mimicry = Mimicry{Weight: new(0.0), WarmupSteps: 8, Temperature: 2}
	cfg.Augment.Erase.Probability, cfg.Augment.ResizedCrop.MinScale, cfg.Augment.PadMode = 0.5, 0.5, dataset.PadZero
	cfg.Optimizer = optim.SGD{LearningRate: 0.02, WeightDecay: 5e-4}
	cfg.Students[0].Optimizer = optim.Adam{LearningRate: 0.01, WeightDecay: 0.01, DecayExclude: []optim.Part{optim.BatchNorm}}
	cfg.Students[1].Optimizer = optim.AdamW{Beta1: optim.Zero, WeightDecay: 0.01}
	cfg.Students[1].Schedule = optim.Warmup{Epochs: 0.5, Schedule: optim.Cosine{}}
	beside := Options{Identity: map[string]string{"data.validation": "0.1"}}
	s, err := New(cfg, tinyData(t), beside)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := sameRun(s.id, old); err != nil {
		t.Error(err)
	}
	beside.Identity["data.validation"] = "0.2"
	other, err := New(cfg, tinyData(t), beside)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := sameRun(other.id, old); !errors.Is(err, ErrOtherRun) || !strings.Contains(err.Error(), `data.validation is "0.2", was "0.1"`) {
		t.Errorf("another validation part: %v", err)
	}
}
