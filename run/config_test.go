package run

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
	"github.com/deepmutual/dml/train/optim"
)

func tinyConfig() Config {
	return Config{Data: DataConfig{Path: "random"}, Epochs: 2, Batch: 8,
		Optimizer: OptimizerConfig{LearningRate: 0.02},
		Students:  []StudentConfig{{Arch: "convnet"}, {Arch: "convnet"}}}
}

func tinyData(t *testing.T) dataset.Splits {
	t.Helper()
	shape := dataset.Shape{Channels: 1, Height: 12, Width: 12}
	return dataset.Splits{Train: datatest.Random(t, 32, 3, shape, 1), Val: datatest.Random(t, 8, 3, shape, 2)}
}

// wantFaults checks that a configuration is refused for exactly these keys.
func wantFaults(t *testing.T, cfg Config, keys ...string) {
	t.Helper()
	err := cfg.WithDefaults().Validate()
	var got []string
	for _, e := range settingErrors(err) {
		got = append(got, e.Key)
	}
	slices.Sort(got)
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Errorf("faults of %v, want %v:\n%v", got, keys, err)
	}
	if err != nil && strings.Contains(err.Error(), "%!") {
		t.Errorf("a message is misprinted:\n%v", err)
	}
}

func TestConfigReportsAllFaults(t *testing.T) {
	cfg := Config{Data: DataConfig{Kind: "folder"}, Mode: "teach", Epochs: -1, Batch: 1, Backend: "abacus", Name: "a/b",
		Students:  []StudentConfig{{Arch: "resnet33"}, {Arch: "convnet", Name: "a/b"}, {Arch: "convnet", Name: "onnx"}},
		Optimizer: OptimizerConfig{LearningRate: -1, Momentum: new(2.0)}, Schedule: ScheduleConfig{Every: -3}, Augment: AugmentConfig{PadMode: "mirror"}}
	wantFaults(t, cfg, "name", "data.path", "data.kind", "mode", "students[0].arch", "students[1].name", "students[2].name", "epochs", "batch",
		"optimizer.learning_rate", "optimizer.momentum", "schedule.every", "augment.pad_mode", "backend")
	wantFaults(t, tinyConfig())
	one := tinyConfig()
	one.Students = one.Students[:1]
	wantFaults(t, one, "students")
}

func TestDataAndAugmentFaults(t *testing.T) {
	cfg := tinyConfig()
	cfg.Data = DataConfig{Kind: "folder", Pattern: "(", Limit: -1, Validation: 2, Height: 5000, Width: 5000, Cache: new(-1)}
	cfg.Augment = AugmentConfig{PadCrop: -1, PadMode: "mirror", ResizedCrop: ResizedCropConfig{MinScale: 2, MinRatio: 5},
		Erase: EraseConfig{MinArea: 0.1}, Jitter: JitterConfig{-1, -1, -1, 0.6}}
	wantFaults(t, cfg, "data.path", "data.kind", "data.pattern", "data.limit", "data.validation", "data.height", "data.cache",
		"augment.pad_crop", "augment.pad_mode", "augment.resized_crop.min_scale", "augment.erase.probability",
		"augment.jitter.brightness", "augment.jitter.contrast", "augment.jitter.saturation", "augment.jitter.hue")
}

func TestOptimizerAndScheduleFaults(t *testing.T) {
	cfg := tinyConfig()
	cfg.Optimizer = OptimizerConfig{Kind: "adam", Momentum: new(0.9), Nesterov: new(true), Beta1: new(1.0), Epsilon: -1,
		WeightDecay: new(math.NaN()), DecayExclude: []optim.Part{"weights"}}
	cfg.Schedule = ScheduleConfig{Kind: "cosine", Every: 3, Factor: 0.1, Milestones: []int{1}, Length: -1, EndFactor: -1, Warmup: math.Inf(1)}
	cfg.Students[0].Optimizer = &OptimizerConfig{Kind: "lion", Momentum: new(-1.0)}
	cfg.Students[1].Optimizer = &OptimizerConfig{Beta2: new(0.9), Epsilon: 1}
	cfg.Students[0].Schedule = &ScheduleConfig{Kind: "multistep", Milestones: []int{3, 3}}
	cfg.Students[1].Schedule = &ScheduleConfig{Kind: "triangle"}
	wantFaults(t, cfg, "optimizer.momentum", "optimizer.nesterov", "optimizer.beta1", "optimizer.epsilon", "optimizer.weight_decay",
		"optimizer.decay_exclude", "schedule.every", "schedule.factor", "schedule.milestones", "schedule.length", "schedule.end_factor",
		"schedule.warmup", "students[0].optimizer.kind", "students[1].optimizer.beta2", "students[1].optimizer.epsilon",
		"students[0].schedule.milestones", "students[1].schedule.kind")
}

func TestTeacherFaults(t *testing.T) {
	cfg := tinyConfig()
	cfg.Teacher.Path = "x"
	wantFaults(t, cfg, "teacher.path")
	cfg = tinyConfig()
	cfg.Mode = train.ModeDistill
	wantFaults(t, cfg, "teacher.path")
	cfg.Teacher = TeacherConfig{Path: "x", Output: "features", Mean: []float32{1, 2}, Std: []float32{0}}
	wantFaults(t, cfg, "teacher.output", "teacher.mean", "teacher.std")
	cfg.Teacher = TeacherConfig{Path: "x", Output: "logits", Mean: []float32{-1, 0, 2}, Std: []float32{1}}
	wantFaults(t, cfg)
}

func TestInitFaults(t *testing.T) {
	for want, s := range map[string]StudentConfig{
		"students[0].init":        {Init: "a\xff.onnx"},
		"students[0].init_sha256": {InitSHA256: strings.Repeat("0", 64)},
	} {
		cfg := tinyConfig()
		s.Arch = "convnet"
		cfg.Students[0] = s
		wantFaults(t, cfg, want)
	}
	cfg := tinyConfig()
	cfg.Students[0].Init, cfg.Students[0].InitSHA256 = "a.onnx", "abc"
	wantFaults(t, cfg, "students[0].init_sha256")
	cfg.Students[0].InitSHA256 = strings.Repeat("0", 64)
	wantFaults(t, cfg)
}

// TestModesCanBeChanged: a configuration that was written out may be made one of
// mode independent.
func TestModesCanBeChanged(t *testing.T) {
	for _, mode := range train.Modes() {
		cfg := tinyConfig()
		cfg.Mode = mode
		if mode == train.ModeDistill {
			cfg.Teacher.Path, cfg.Students = "teacher.onnx", cfg.Students[:1]
		}
		wantFaults(t, cfg)
		cfg = cfg.WithDefaults()
		cfg.Mode, cfg.Teacher = train.ModeIndependent, TeacherConfig{}
		wantFaults(t, cfg)
	}
}

func TestOptimizersOfAConfig(t *testing.T) {
	for kind, want := range map[string]optim.Optimizer{
		"":      optim.SGD{LearningRate: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4},
		"sgd":   optim.SGD{LearningRate: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4},
		"adam":  optim.Adam{LearningRate: 2e-4, Beta1: 0.5, Beta2: 0.999, Epsilon: 1e-8},
		"adamw": optim.AdamW{LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.01},
	} {
		cfg := Config{Optimizer: OptimizerConfig{Kind: kind}}
		if got := cfg.WithDefaults().values().Optimizer; !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %#v, want %#v", kind, got, want)
		}
		if got := cfg.values().Optimizer.WithDefaults(); kind != "" && reflect.TypeOf(got) != reflect.TypeOf(want) {
			t.Errorf("%q is %#v", kind, got)
		}
	}
	plain := OptimizerConfig{Momentum: new(0.0)}.withDefaults()
	if got := plain.value(); !reflect.DeepEqual(got, optim.SGD{LearningRate: 0.1, WeightDecay: 5e-4}) {
		t.Errorf("without momentum: %#v", got)
	}
	zero := OptimizerConfig{Kind: "adam", Beta1: new(0.0)}.withDefaults()
	if *zero.Beta1 != 0 || zero.value().(optim.Adam).Beta1 != optim.Zero {
		t.Errorf("without a first moment: %+v", zero)
	}
}

// TestOwnNetwork: the configuration of a run with a network made in Go can be
// read again without the program that made it.
func TestOwnNetwork(t *testing.T) {
	net, err := models.Build("resnet8", models.Shape{C: 1, H: 12, W: 12}, 3)
	if err != nil {
		t.Fatal(err)
	}
	net.Name = "own"
	cfg := tinyConfig()
	cfg.Students = []StudentConfig{{Network: net}, {Network: net}}
	written := cfg.WithDefaults()
	if s := written.Students[1]; s.Name != "own-2" || s.Arch != "go:own" || written.Name != "dml-own-own" {
		t.Errorf("%+v", s)
	}
	if values, _, err := written.Training(tinyData(t)); err != nil || values.Students[0].Network != net || values.Students[0].Arch != "own" {
		t.Errorf("%+v, %v", values.Students, err)
	}
	for i := range written.Students {
		written.Students[i].Network = nil // as config.yaml holds it
	}
	wantFaults(t, written)
	if _, _, err := written.Training(tinyData(t)); err == nil || !strings.Contains(err.Error(), "must give it as StudentConfig.Network") {
		t.Errorf("training without the network: %v", err)
	}
	cfg.Students[0].Arch = "convnet"
	wantFaults(t, cfg, "students[0].arch")
}

// TestNetworkFile: an architecture may be a file, which names the student.
func TestNetworkFile(t *testing.T) {
	const text = `{"layers": [{"name": "flatten", "kind": "flatten"}, {"name": "linear", "kind": "dense"}]}`
	path := filepath.Join(t.TempDir(), "mine.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := tinyConfig()
	cfg.Students = []StudentConfig{{Arch: path}, {Arch: path}}
	wantFaults(t, cfg)
	values, _, err := cfg.WithDefaults().Training(tinyData(t))
	if err != nil {
		t.Fatal(err)
	}
	s := values.Students[1]
	if n, err := s.Network.ParameterCount(); s.Name != "mine-2" || s.Arch != "mine" || n != 144*3 {
		t.Errorf("student %+v of %d parameters, %v", s, n, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, cfg)
	if _, _, err := cfg.WithDefaults().Training(tinyData(t)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is gone: %v", err)
	}
}

// TestIdentity: what must not change when a run goes on is not only what the
// training knows.
func TestIdentity(t *testing.T) {
	session := func(change func(*Config)) *train.Session {
		cfg := tinyConfig()
		cfg.Students = slices.Clone(cfg.Students)
		change(&cfg)
		values, opts, err := cfg.WithDefaults().Training(tinyData(t))
		if err != nil {
			t.Fatal(err)
		}
		s, err := train.New(values, tinyData(t), opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	states := session(func(*Config) {}).States()
	for name, tc := range map[string]struct {
		change func(*Config)
		key    string // that stands in the way; "" for none
	}{
		"another place":      {func(c *Config) { c.Data.Path, c.Name = "elsewhere", "other" }, ""},
		"another cache":      {func(c *Config) { c.Data.Cache = new(0) }, ""},
		"longer":             {func(c *Config) { c.Schedule.Every, c.Epochs = 1, 3 }, ""},
		"moved weights":      {func(c *Config) { c.Students[0].Init = "weights.onnx" }, ""},
		"other weights":      {func(c *Config) { c.Students[0].InitSHA256 = strings.Repeat("ab", 32) }, "students[0].init_sha256"},
		"another validation": {func(c *Config) { c.Data.Validation = 0.2 }, "data.validation"},
		"another kind":       {func(c *Config) { c.Data.Kind = "mnist" }, "data.kind"},
		"a limit":            {func(c *Config) { c.Data.Limit = 30 }, "data.limit"},
		"augmentation":       {func(c *Config) { c.Augment.Erase.Probability = 0.5 }, "augment.erase.probability"},
		"another rate":       {func(c *Config) { c.Optimizer.LearningRate = 0.5 }, "optimizer.learning_rate"},
		"an own schedule":    {func(c *Config) { c.Students[1].Schedule = &ScheduleConfig{Kind: "constant"} }, "students[1].schedule.kind"},
	} {
		err := session(tc.change).Restore(states)
		if (err == nil) != (tc.key == "") || err != nil && (!errors.Is(err, train.ErrOtherRun) || !strings.Contains(err.Error(), tc.key+" is")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConfigOfZerosCanBeReadBack: an optional setting that is zero is not one
// that is left out.
func TestConfigOfZerosCanBeReadBack(t *testing.T) {
	cfg := tinyConfig()
	cfg.Optimizer.Momentum, cfg.Optimizer.WeightDecay = new(0.0), new(0.0)
	cfg.Schedule = ScheduleConfig{Kind: "multistep", Milestones: []int{1, 3}, Warmup: 0.5}
	cfg.Students[0].Optimizer = &OptimizerConfig{Kind: "adam", Beta1: new(0.0), DecayExclude: []optim.Part{optim.Bias}}
	cfg.Students[1].Schedule = &ScheduleConfig{Kind: "constant"}
	text, err := yaml.Marshal(cfg.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseConfig(text)
	if err != nil || !reflect.DeepEqual(got, cfg.WithDefaults()) {
		t.Errorf("%v\n%s", err, text)
	}
	if again := got.WithDefaults(); !reflect.DeepEqual(again, got) {
		t.Errorf("defaults of what was written out:\n%+v\n%+v", again, got)
	}
}

func TestConfigFileErrorsPointAtTheLine(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":  {"mode: dml\nepocs: 3\n", "[2:1]"},
		"nested key":   {"data:\n  path: x\n  knd: mnist\n", "[3:3]"},
		"repeated key": {"epochs: 1\nepochs: 2\n", "[2:1]"},
		"wrong type":   {"mode: dml\nepochs: many\n", "[2:9]"},
		"empty":        {"# nothing\n", "no configuration"},
		"two runs":     {"mode: dml\n---\nmode: independent\n", "second"},
		"too deep":     {"data: " + strings.Repeat("[", 1000), "levels"},
	} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadConfig(path)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want it to point at %s", name, err, tc.want)
		}
	}
}

func FuzzReadConfig(f *testing.F) {
	f.Add([]byte("mode: dml\nstudents:\n- arch: resnet8\n"))
	f.Add([]byte("data: {path: [}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if cfg, err := ReadConfig(path); err == nil {
			_ = cfg.WithDefaults().Validate() // must not panic
		}
	})
}
