package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/train"
)

// started begins a run of two students on random images in memory.
func started(t *testing.T, change func(*Config)) (*Run, Options) {
	t.Helper()
	data := tinyData(t)
	opts := Options{Folder: t.TempDir(), Data: &data}
	cfg := tinyConfig()
	cfg.Name, cfg.Data.Path, cfg.Students = "trial", "", []StudentConfig{{Name: "one", Arch: "convnet"}, {Name: "two", Arch: "convnet"}}
	if change != nil {
		change(&cfg)
	}
	r, err := Start(t.Context(), cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, opts
}

// TestARun goes through the life of a run: it is begun, stopped, taken up,
// trained to its end, and read.
func TestARun(t *testing.T) {
	whole, _ := started(t, nil)
	want, err := whole.Train(t.Context(), train.Events{})
	if err != nil {
		t.Fatal(err)
	}

	r, opts := started(t, nil)
	if _, err := Start(t.Context(), r.Config(), opts); !errors.Is(err, ErrBusy) {
		t.Errorf("begun beside its trainer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	sum, err := r.Train(ctx, train.Events{Step: func(train.StepReport) {
		if steps++; steps == 5 {
			cancel()
		}
	}})
	if err != nil || sum.Stopped != train.StopInterrupt {
		t.Fatalf("%+v, %v", sum, err)
	}
	if epoch, step, err := r.Saved(); epoch != 1 || step != 1 || err != nil {
		t.Errorf("saved at epoch %d, step %d, %v", epoch, step, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), r.Config(), opts); !errors.Is(err, ErrExists) {
		t.Errorf("begun anew: %v", err)
	}

	again, err := Resume(r.Path(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := again.Recovery(); got.Epoch != 1 || got.Step != 1 || got.Refused != nil || got.Drift != nil || again.Finished() {
		t.Errorf("taken up: %+v", got)
	}
	if sum, err = again.Train(t.Context(), train.Events{}); err != nil || !reflect.DeepEqual(sum, want) {
		t.Errorf("%+v, want %+v, %v", sum, want, err)
	}

	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	read, err := Open(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read.Train(t.Context(), train.Events{}); err == nil {
		t.Error("a run that was opened to read trains")
	}
	cfg := read.Config()
	if cfg.Data.Path != "random-1" || cfg.Threads == 0 || cfg.Backend == "" || !reflect.DeepEqual(read.Students(), []string{"one", "two"}) {
		t.Errorf("%+v", cfg)
	}
	for _, which := range []string{Best, Last} {
		got, err := read.States(which)
		if err != nil {
			t.Fatal(err)
		}
		states, err := whole.States(which)
		if err != nil || !reflect.DeepEqual(got, states) {
			t.Errorf("the %s states differ from those of the run that was never stopped, %v", which, err)
		}
	}
	metrics, err := read.Metrics()
	if err != nil || len(metrics) != 2 || metrics[1].Epoch != 2 || len(metrics[1].Students) != 2 {
		t.Errorf("metrics %+v, %v", metrics, err)
	}
	events, err := read.Events()
	if want := []Event{{"stopped", 1, 1, "interrupt"}, {"resumed", 1, 1, ""}}; err != nil || !reflect.DeepEqual(events, want) {
		t.Errorf("events %+v, want %+v, %v", events, want, err)
	}
	if samples, err := read.Reference(); err != nil || samples.N != 8 || samples.Shape.H != 12 || len(samples.Inputs) != 8*144 {
		t.Errorf("%d reference samples of %v, %v", samples.N, samples.Shape, err)
	}
	if _, err := read.State("three", Best); err == nil || !strings.Contains(err.Error(), "its students are one, two") {
		t.Errorf("a student that is not there: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(r.Path(), "results.csv")); err != nil || strings.Count(string(text), "\n") != 4 {
		t.Errorf("results %q, %v", text, err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNoRun) {
		t.Errorf("an empty folder: %v", err)
	}

	finished, err := Resume(r.Path(), opts)
	if err != nil || !finished.Finished() {
		t.Fatalf("%v", err)
	}
	if err := finished.Close(); err != nil {
		t.Error(err)
	}
	if after, err := read.Events(); err != nil || len(after) != len(events) {
		t.Errorf("taking up a finished run is an event: %+v, %v", after, err)
	}
}

// TestStartLeavesNothing: a run that cannot begin has no folder.
func TestStartLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	data := tinyData(t)
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"a fault":        {func(c *Config) { c.Epochs = -1 }, "epochs: -1"},
		"no such data":   {func(c *Config) { c.Data.Path = filepath.Join(folder, "nowhere") }, "nowhere"},
		"no such weight": {func(c *Config) { c.Students[0].Init = filepath.Join(folder, "x.onnx") }, "x.onnx"},
		"no such net":    {func(c *Config) { c.Students[0].Arch = filepath.Join(folder, "x.json") }, "x.json"},
	} {
		cfg := tinyConfig()
		tc.change(&cfg)
		opts := Options{Folder: folder, Data: &data}
		if name == "no such data" {
			opts.Data = nil
		}
		if _, err := Start(t.Context(), cfg, opts); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestResumeRefuses: a run goes on as itself alone, and on this machine alone
// unless drift is allowed.
func TestResumeRefuses(t *testing.T) {
	r, opts := started(t, func(c *Config) { c.Threads = 1 })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*Config)) Options {
		o := opts
		o.Change = func(c *Config) error { f(c); return nil }
		return o
	}
	if _, err := Resume(r.Path(), change(func(c *Config) { c.Seed = 9 })); !errors.Is(err, train.ErrOtherRun) {
		t.Errorf("another seed: %v", err)
	}
	if _, err := Resume(r.Path(), change(func(c *Config) { c.Batch = 1 })); err == nil || !strings.Contains(err.Error(), "batch: 1") {
		t.Errorf("a fault: %v", err)
	}
	threads := change(func(c *Config) { c.Threads = 2 })
	if _, err := Resume(r.Path(), threads); !errors.Is(err, train.ErrDrift) {
		t.Errorf("other threads: %v", err)
	}
	threads.AllowDrift = true
	drifting, err := Resume(r.Path(), threads)
	if err != nil || !errors.Is(drifting.Recovery().Drift, train.ErrDrift) {
		t.Fatalf("%v", err)
	}
	if err := drifting.Close(); err != nil {
		t.Error(err)
	}
	read, err := Open(r.Path())
	if err != nil || read.Config().Threads != 2 {
		t.Errorf("%+v, %v", read.Config(), err)
	}
}

// TestExtend: a finished run that is given more epochs comes to what a run of so
// many with the same schedule comes to, and keeps their number.
func TestExtend(t *testing.T) {
	whole, _ := started(t, func(c *Config) { c.Epochs, c.Schedule.Every = 3, 1 })
	if _, err := whole.Train(t.Context(), train.Events{}); err != nil {
		t.Fatal(err)
	}
	want, err := whole.States(Last)
	if err != nil {
		t.Fatal(err)
	}
	r, opts := started(t, nil)
	if _, err := r.Train(t.Context(), train.Events{}); err != nil {
		t.Fatal(err)
	}
	r.Close()
	extended := func(epochs int) (*Run, error) {
		o := opts
		o.Change = func(c *Config) error { c.Epochs = epochs; return nil }
		return Resume(r.Path(), o)
	}
	if _, err := extended(1); err == nil || !strings.Contains(err.Error(), "epochs: 1 are fewer than the 2 that are finished") {
		t.Errorf("fewer epochs: %v", err)
	}
	more, err := extended(3)
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	if _, err := more.Train(t.Context(), train.Events{}); err != nil {
		t.Fatal(err)
	}
	got, err := more.States(Last)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the states differ from those of a run of 3 epochs, %v", err)
	}
	if read, err := Open(r.Path()); err != nil || read.Config().Epochs != 3 {
		t.Errorf("%+v, %v", read.Config(), err)
	}
}

// TestResumeKnowsItsImages: a run goes on where its data have moved, and not
// where two classes have exchanged an image.
func TestResumeKnowsItsImages(t *testing.T) {
	photos := imageFolder(t, 10)
	var longer [8]byte // so that two images differ in size, as photographs do
	first := filepath.Join(photos, "dark", "1.png")
	png, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, append(png, longer[:]...), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := tinyConfig()
	cfg.Data.Path = photos
	r, err := Start(t.Context(), cfg, Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(photos, moved); err != nil {
		t.Fatal(err)
	}
	resume := func() error {
		again, err := Resume(r.Path(), Options{Change: func(c *Config) error { c.Data.Path = moved; return nil }})
		if err != nil {
			return err
		}
		return again.Close()
	}
	if err := resume(); err != nil {
		t.Errorf("moved: %v", err)
	}
	if read, err := Open(r.Path()); err != nil || read.Config().Data.Path != moved {
		t.Errorf("%+v, %v", read.Config().Data, err)
	}
	dark, bright, aside := filepath.Join(moved, "dark", "1.png"), filepath.Join(moved, "bright", "1.png"), filepath.Join(moved, "dark", "x.png")
	if err := errors.Join(os.Rename(dark, aside), os.Rename(bright, dark), os.Rename(aside, bright)); err != nil {
		t.Fatal(err)
	}
	if err := resume(); err == nil || !errors.Is(err, train.ErrOtherRun) || !strings.Contains(err.Error(), "names, sizes and labels") {
		t.Errorf("with exchanged labels: %v", err)
	}
}

func TestDivergenceIsRecorded(t *testing.T) {
	r, _ := started(t, func(c *Config) { c.Optimizer.LearningRate = 1e30 })
	if _, err := r.Train(t.Context(), train.Events{}); !errors.Is(err, train.ErrDiverged) {
		t.Fatalf("%v", err)
	}
	if events, err := r.Events(); err != nil || len(events) != 1 || events[0].Event != "diverged" || !strings.Contains(events[0].Detail, "learning rate") {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestMeasureWritesNothing(t *testing.T) {
	data, folder := tinyData(t), t.TempDir()
	plan, err := Measure(t.Context(), tinyConfig(), 100*time.Millisecond, Options{Data: &data, Folder: folder})
	if err != nil || plan.StepsPerEpoch != 4 || plan.Steps == 0 || plan.Total <= 0 || plan.Machine.Threads == 0 || plan.Config.Name != "dml-convnet-convnet" {
		t.Errorf("%+v, %v", plan, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestStartFromARun: students begin with those of a run, named by its folder, by
// a student's folder or by the checkpoint, and can be taught by them.
func TestStartFromARun(t *testing.T) {
	r, _ := started(t, nil)
	from := func(path string) (*Run, error) {
		data := tinyData(t)
		cfg := tinyConfig()
		cfg.Students = []StudentConfig{{Name: "three", Arch: "convnet", Init: path}, {Arch: "convnet"}}
		return Start(t.Context(), cfg, Options{Folder: t.TempDir(), Data: &data})
	}
	if _, err := from(r.Path()); err == nil || !strings.Contains(err.Error(), "no best checkpoint yet") {
		t.Errorf("a run before its first epoch: %v", err)
	}
	if _, err := r.Train(t.Context(), train.Events{}); err != nil {
		t.Fatal(err)
	}
	states, err := r.States(Best)
	if err != nil {
		t.Fatal(err)
	}
	best := states[0]
	if states[1].Best.Better(best.Best) {
		best = states[1]
	}
	for path, want := range map[string]train.State{
		r.Path():                       best,
		filepath.Join(r.Path(), "one"): states[0],
		filepath.Join(r.Path(), "two"): states[1],
		r.Checkpoint("two", Best):      states[1],
	} {
		begun, err := from(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if i := begun.Initial(); len(i) != 1 || i[0].Student != "three" || i[0].Report.File != r.Checkpoint(want.Name, Best) || i[0].Report.Values != i[0].Report.Total {
			t.Errorf("%s: %+v", path, i)
		}
		st, err := begun.State("three", Last)
		if err != nil || !reflect.DeepEqual(st.Weights, want.Weights) {
			t.Errorf("%s: the weights are not the student's, %v", path, err)
		}
		if s := begun.Config().Students[0]; len(s.InitSHA256) != 64 || !filepath.IsAbs(s.Init) {
			t.Errorf("%+v", s)
		}
		begun.Close()
	}
	if _, err := from(filepath.Join(r.Path(), "four")); err == nil {
		t.Error("a student that is not there")
	}
	if _, err := from(t.TempDir()); !errors.Is(err, ErrNoRun) {
		t.Errorf("another folder: %v", err)
	}

	taught, opts := started(t, func(c *Config) { c.Mode, c.Teacher.Path = train.ModeDistill, filepath.Join(r.Path(), "one") })
	if _, err := taught.Train(t.Context(), train.Events{}); err != nil {
		t.Error(err)
	}
	taught.Close()
	again, err := Resume(taught.Path(), opts)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	own, err := train.NewFrozenTeacher(states[0], train.EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	data := tinyData(t)
	cfg := taught.Config()
	cfg.Name, cfg.Teacher.Path = "own", ""
	given, err := Start(t.Context(), cfg, Options{Folder: t.TempDir(), Data: &data, Teacher: own})
	if err != nil {
		t.Fatal(err)
	}
	if p := given.Config().Teacher.Path; p != own.Info().Name {
		t.Errorf("a teacher that is given is called %q", p)
	}
	given.Close()
	cfg.Name, cfg.Teacher.Path = "of two", r.Path()
	if _, err := Start(t.Context(), cfg, Options{Folder: t.TempDir(), Data: &data}); err == nil || !strings.Contains(err.Error(), "{one,two}") {
		t.Errorf("a run as teacher: %v", err)
	}
}

// TestRunIsExportedAndEvaluated: on a folder of images, by the training code and
// by ONNX Runtime.
func TestRunIsExportedAndEvaluated(t *testing.T) {
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
	photos, folder := imageFolder(t, 20), t.TempDir()
	cfg := Config{Name: "trial", Data: DataConfig{Path: photos}, Epochs: 2, Batch: 8, Optimizer: OptimizerConfig{LearningRate: 0.02},
		Students: []StudentConfig{{Name: "one", Arch: "convnet"}, {Name: "two", Arch: "convnet"}}}
	r, err := Start(t.Context(), cfg, Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Train(t.Context(), train.Events{}); err != nil {
		t.Fatal(err)
	}
	reports, err := r.Export(t.Context(), ExportOptions{})
	if err != nil || len(reports) != 2 || reports[1].Path != filepath.Join(r.Path(), "onnx", "two.onnx") || reports[1].Name != "two" ||
		reports[0].Accuracy == nil || reports[0].Accuracy.Images != 4 {
		t.Fatalf("%+v, %v", reports, err)
	}
	cohort, err := r.Export(t.Context(), ExportOptions{Cohort: true, Checkpoint: Last, Images: -1})
	if err != nil || len(cohort) != 1 || cohort[0].Accuracy != nil || cohort[0].NotCompared != nil {
		t.Errorf("%+v, %v", cohort, err)
	}
	if _, err := r.Export(t.Context(), ExportOptions{Student: "three"}); err == nil || !strings.Contains(err.Error(), `"three"`) {
		t.Errorf("a student that is not there: %v", err)
	}

	own, err := r.Evaluate(t.Context(), EvaluateOptions{})
	if err != nil || own.Split != "test" || own.Images != 4 || own.Data != photos || len(own.Students) != 2 || own.Chosen {
		t.Errorf("%+v, %v", own, err)
	}
	all, err := r.Evaluate(t.Context(), EvaluateOptions{Split: SplitAll, Checkpoint: Last, Limit: 30})
	if err != nil || all.Split != SplitAll || all.Images != 30 {
		t.Errorf("%+v, %v", all, err)
	}
	images, err := dataset.Open(photos, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	memory, err := r.Evaluate(t.Context(), EvaluateOptions{Images: images.Train, Checkpoint: Last, Limit: 30})
	if err != nil || !reflect.DeepEqual(memory.Evaluation, all.Evaluation) || memory.Images != 30 {
		t.Errorf("images that are open: %+v, want %+v, %v", memory, all, err)
	}
	if _, err := r.Evaluate(t.Context(), EvaluateOptions{Data: imageFolder(t, 3), Split: "val"}); err == nil || !strings.Contains(err.Error(), "no val part") {
		t.Errorf("a part that is not there: %v", err)
	}

	if err := os.RemoveAll(photos); err != nil {
		t.Fatal(err)
	}
	reports, err = r.Export(t.Context(), ExportOptions{Student: "one", Folder: t.TempDir()})
	if err != nil || len(reports) != 1 || reports[0].NotCompared == nil {
		t.Errorf("without the data: %+v, %v", reports, err)
	}
	if _, err := r.Export(t.Context(), ExportOptions{Images: 3}); err == nil || !strings.Contains(err.Error(), "cannot be compared") {
		t.Errorf("without the data that are asked for: %v", err)
	}
}
