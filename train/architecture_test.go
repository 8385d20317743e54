package train

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/models"
)

// TestOwnNetwork: a network made in Go trains, and its run can be read again
// without the program that made it.
func TestOwnNetwork(t *testing.T) {
	cfg := own(t, tinyConfig(), withDropout)
	cfg.Epochs = 1
	s := newSession(t, cfg)
	store, sum := run(t, s, t.Context(), Events{})
	if st := store.last[0]; st.Name != "dropout-1" || st.Network.Name != "dropout" || sum.Students[0].Arch != "dropout" {
		t.Errorf("student %q of %q, summary %+v", st.Name, st.Network.Name, sum.Students[0])
	}
	written := cfg.WithDefaults()
	for i := range written.Students {
		written.Students[i].Network = nil // as config.yaml holds it
	}
	if err := written.Validate(); err != nil {
		t.Errorf("the written configuration: %v", err)
	}
	if _, err := New(written, tinyData(t), Options{}); err == nil || !strings.Contains(err.Error(), "must give it as StudentConfig.Network") {
		t.Errorf("training without the network: %v", err)
	}
}

func TestUnfitOwnNetworks(t *testing.T) {
	other, err := withDropout("", models.Shape{C: 3, H: 12, W: 12}, 3)
	if err != nil {
		t.Fatal(err)
	}
	cfg := tinyConfig()
	cfg.Students = []StudentConfig{{Network: other}, {Arch: "convnet"}}
	if _, err := New(cfg, tinyData(t), Options{}); err == nil || !strings.Contains(err.Error(), `its network "dropout" is for inputs`) {
		t.Errorf("a network for colour images: %v", err)
	}
	cfg.Students[0].Arch = "convnet"
	if err := cfg.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), "students[0].arch: ") {
		t.Errorf("two architectures for one student: %v", err)
	}
}

// TestNetworkFile: an architecture may be a file; it names the student, and
// moving it changes nothing about the run.
func TestNetworkFile(t *testing.T) {
	const text = `{"layers": [{"name": "flatten", "kind": "flatten"}, {"name": "linear", "kind": "dense"}]}`
	folder := t.TempDir()
	path := filepath.Join(folder, "mine.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := tinyConfig()
	cfg.Epochs, cfg.Students = 1, []StudentConfig{{Arch: path}, {Arch: path}}
	store, sum := run(t, newSession(t, cfg), t.Context(), Events{})
	if store.last[1].Name != "mine-2" || sum.Students[1].Arch != "mine" || sum.Students[1].Parameters != 144*3 {
		t.Errorf("student %q, summary %+v", store.last[1].Name, sum.Students[1])
	}
	moved := filepath.Join(folder, "sub", "mine.json")
	if err := os.Mkdir(filepath.Dir(moved), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, tinyData(t), Options{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is gone: %v", err)
	}
	cfg.Students = []StudentConfig{{Arch: moved}, {Arch: moved}}
	if err := newSession(t, cfg).Restore(store.last); err != nil {
		t.Errorf("the same file elsewhere: %v", err)
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
			c.Views, c.Augment, c.Students[0].Seed, c.Students[1].Seed = ViewsPerStudent, AugmentConfig{}, 4, 4
		}, true},
		"other networks": {func(c *Config) { c.Students[1].Arch, c.Students[0].Seed, c.Students[1].Seed = "resnet8", 4, 4 }, false},
		"other schedule": {func(c *Config) {
			c.Students[0].Seed, c.Students[1].Seed, c.Students[1].Schedule = 4, 4, &ScheduleConfig{Factor: 0.5}
		}, false},
		"dropout": {func(c *Config) {
			*c = own(t, *c, withDropout)
			c.Students[0].Seed, c.Students[1].Seed = 4, 4
		}, false},
	} {
		cfg := tinyConfig()
		cfg.Students = append([]StudentConfig(nil), cfg.Students...)
		tc.change(&cfg)
		warnings := newSession(t, cfg).Warnings()
		if got := len(warnings) == 1; got != tc.twins || len(warnings) > 1 {
			t.Errorf("%s: warnings %q", name, warnings)
		}
	}
	cfg := tinyConfig()
	s := newSession(t, cfg)
	names := []string{s.cohort.students[0].name, s.cohort.students[1].name}
	_, weights, err := s.Network(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetInitialWeights(names[1], weights); err != nil {
		t.Fatal(err)
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], `"convnet-1" and "convnet-2"`) {
		t.Errorf("after giving one the other's weights: %q", w)
	}
}
