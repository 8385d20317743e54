package train

import (
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// TestOwnNetwork: a network made in Go trains and names its students.
func TestOwnNetwork(t *testing.T) {
	cfg := own(t, tinyConfig(), withDropout)
	cfg.Epochs = 1
	store, sum := run(t, newSession(t, cfg), t.Context(), Events{})
	if st := store.last[0]; st.Name != "dropout-1" || st.Network.Name != "dropout" || sum.Students[0].Arch != "dropout" {
		t.Errorf("student %q of %q, summary %+v", st.Name, st.Network.Name, sum.Students[0])
	}
	cfg.Students[0].Arch = "mine"
	if _, sum := run(t, newSession(t, cfg), t.Context(), Events{}); sum.Students[0].Name != "mine-1" || sum.Students[0].Arch != "mine" {
		t.Errorf("a network of another name: %+v", sum.Students[0])
	}
}

func TestUnfitOwnNetworks(t *testing.T) {
	other, err := withDropout("", models.Shape{C: 3, H: 12, W: 12}, 3)
	if err != nil {
		t.Fatal(err)
	}
	cfg := tinyConfig()
	cfg.Students = []Student{{Network: other}, {Arch: "convnet"}}
	if _, err := New(cfg, tinyData(t), Options{}); err == nil || !strings.Contains(err.Error(), `its network "dropout" is for inputs`) {
		t.Errorf("a network for colour images: %v", err)
	}
}

// TestTwinsAreToldOf: equal students are, unless something drives them apart.
func TestTwinsAreToldOf(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		twins  bool
	}{
		"other seeds": {func(c *Config) {}, false},
		"one seed":    {func(c *Config) { c.Students[0].Seed, c.Students[1].Seed = 4, 4 }, true},
		"independent": {func(c *Config) { c.Mode, c.Students[0].Seed, c.Students[1].Seed = ModeIndependent, 4, 4 }, true},
		"in turn":     {func(c *Config) { c.Order, c.Students[0].Seed, c.Students[1].Seed = OrderSequential, 4, 4 }, false},
		"own views":   {func(c *Config) { c.Views, c.Students[0].Seed, c.Students[1].Seed = ViewsPerStudent, 4, 4 }, false},
		"own equal views": {func(c *Config) {
			c.Views, c.Augment, c.Students[0].Seed, c.Students[1].Seed = ViewsPerStudent, dataset.Augment{}, 4, 4
		}, true},
		"other networks": {func(c *Config) { c.Students[1].Arch, c.Students[0].Seed, c.Students[1].Seed = "resnet8", 4, 4 }, false},
		"other schedule": {func(c *Config) {
			c.Students[0].Seed, c.Students[1].Seed, c.Students[1].Schedule = 4, 4, optim.Step{Factor: 0.5}
		}, false},
		"dropout": {func(c *Config) {
			*c = own(t, *c, withDropout)
			c.Students[0].Seed, c.Students[1].Seed = 4, 4
		}, false},
	} {
		cfg := tinyConfig()
		cfg.Students = append([]Student(nil), cfg.Students...)
		tc.change(&cfg)
		warnings := newSession(t, cfg).Warnings()
		if got := len(warnings) == 1; got != tc.twins || len(warnings) > 1 {
			t.Errorf("%s: warnings %q", name, warnings)
		}
	}
	cfg := tinyConfig()
	s := newSession(t, cfg)
	cfg.Students[1].Weights = s.States()[0].Weights
	s = newSession(t, cfg)
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], `"convnet-1" and "convnet-2"`) {
		t.Errorf("after giving one the other's weights: %q", w)
	}
}
