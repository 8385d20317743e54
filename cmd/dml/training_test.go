package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/app"
	runs "github.com/deepmutual/dml/run"
)

// callAt calls once when text is printed.
type callAt struct {
	bytes.Buffer
	text string
	call func()
}

func (w *callAt) Write(p []byte) (int, error) {
	if w.call != nil && strings.Contains(string(p), w.text) {
		call := w.call
		w.call = nil
		call()
	}
	return w.Buffer.Write(p)
}

// trainAnd runs a command line that trains, calls when the first epoch is
// reported, and returns what the command line did.
func trainAnd(t *testing.T, args []string, call func(interrupt func())) result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &callAt{text: "epoch 1/", call: func() { call(cancel) }}
	var stdout bytes.Buffer
	code := app.Run(ctx, append([]string{"dml"}, args...), &stdout, stderr)
	if stderr.call != nil {
		t.Fatalf("no epoch was reported: %s", stderr.String())
	}
	return result{code, stdout.String(), stderr.String()}
}

// sameBits compares what two runs have made.
func sameBits(t *testing.T, what, one, other string) {
	t.Helper()
	for _, name := range []string{"convnet-1/last.ckpt", "second/last.ckpt", "convnet-1/best.ckpt", "second/best.ckpt", "results.csv"} {
		name = filepath.FromSlash(name)
		if !bytes.Equal(must(os.ReadFile(filepath.Join(one, name))), must(os.ReadFile(filepath.Join(other, name)))) {
			t.Errorf("%s: %s differs", what, name)
		}
	}
}

// TestInterruptAndResume stops a run and continues it to the state of a run
// that nobody stopped.
func TestInterruptAndResume(t *testing.T) {
	out := t.TempDir()
	run := filepath.Join(out, "trial")
	r := trainAnd(t, small(digits(t), out), func(interrupt func()) { interrupt() })
	if want := "interrupted in epoch 2, with the state saved; to continue: dml train --resume " + run; r.code != 1 || !strings.Contains(r.stderr, want) {
		t.Fatalf("exit code %d, no %q in\n%s", r.code, want, r.stderr)
	}
	if strings.Contains(r.stdout, "next:") {
		t.Errorf("an interrupted run printed %q", r.stdout)
	}
	if resumed := mustRun(t, "train", "--resume", run, "--quiet"); resumed.stderr != "" {
		t.Errorf("--quiet printed %q", resumed.stderr)
	}
	sameBits(t, "interrupted", set(t, "whole", "runs", "trial"), run)
}

// TestTwoTrainersOfOneRun trains in a folder while another command does.
func TestTwoTrainersOfOneRun(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: no locks between processes on this system")
	}
	data, out := digits(t), t.TempDir()
	run := filepath.Join(out, "trial")
	first := trainAnd(t, small(data, out), func(func()) {
		refused(t, dml(t, small(data, out)...), run, "another process is training", "another --name")
		refused(t, dml(t, "train", "--resume", run), run, "another process is training")
		mustRun(t, "eval", run, "--checkpoint", "last")
	})
	if first.code != 0 {
		t.Errorf("the first trainer: %+v", first)
	}
}

// TestDataErrorWhileTraining breaks an image after the first epoch, mends it
// and follows the advice of the message.
func TestDataErrorWhileTraining(t *testing.T) {
	data, whole := t.TempDir(), t.TempDir()
	for _, part := range []string{"train", "val"} {
		must(0, writeFolder(filepath.Join(data, part), 20, "left", "right"))
	}
	mustRun(t, small(data, whole, "--quiet")...)
	for _, part := range []string{"train", "val"} {
		image, parts := filepath.Join(data, part, "left", "07.png"), t.TempDir()
		good := must(os.ReadFile(image))
		// What is kept in memory would not be read again.
		r := trainAnd(t, small(data, parts, "--cache", "0"), func(func()) { writeFile(t, image, good[:20]) })
		run := filepath.Join(parts, "trial")
		advice := "once this is mended, continue with: dml train --resume " + run
		if r.code != 1 || !strings.Contains(r.stderr, image) || !strings.Contains(r.stderr, advice) {
			t.Errorf("a broken image in %s: %+v", part, r)
		}
		writeFile(t, image, good)
		mustRun(t, "train", "--resume", run, "--quiet")
		sameBits(t, "after an error in "+part, filepath.Join(whole, "trial"), run)
	}
}

// layouts makes data sets of equal pictures in every layout that has files of
// its own for testing, and returns what to train on and those files.
var layouts = map[string]func(t *testing.T, dir string) (data string, test []string){
	"imagefolder": func(t *testing.T, dir string) (string, []string) {
		for _, part := range []string{"train", "test"} {
			must(0, writeFolder(filepath.Join(dir, part), 20, "class0", "class1"))
		}
		return dir, must(filepath.Glob(filepath.Join(dir, "test", "*", "*")))
	},
	"market1501": func(t *testing.T, dir string) (string, []string) {
		var test []string
		for identity := range 2 {
			for i := range 20 {
				name := fmt.Sprintf("%04d_c%ds1_%06d_01.jpg", identity+2, 1+i%6, i)
				must(0, writePicture(filepath.Join(dir, "bounding_box_train", name), identity))
				for _, part := range []string{"bounding_box_test", "query", "gt_bbox"} {
					must(0, writePicture(filepath.Join(dir, part, name), identity))
					test = append(test, filepath.Join(dir, part, name))
				}
			}
		}
		return dir, test
	},
	"list": func(t *testing.T, dir string) (string, []string) {
		rows, test := "path,label,split\n", []string(nil)
		for class := range 2 {
			for i := range 20 {
				name := fmt.Sprintf("%d-%02d.png", class, i)
				must(0, writePicture(filepath.Join(dir, name), class))
				must(0, writePicture(filepath.Join(dir, "test", name), class))
				rows += fmt.Sprintf("%s,class%d,train\ntest/%s,class%d,test\n", name, class, name, class)
				test = append(test, filepath.Join(dir, "test", name))
			}
		}
		writeFile(t, filepath.Join(dir, "list.csv"), []byte(rows))
		return filepath.Join(dir, "list.csv"), test
	},
}

// TestTestDataIsNotRead trains with the files for testing whole, broken and
// removed: the students are the same, to the bit. Their checkpoints are not, as
// they know the sizes of these files.
func TestTestDataIsNotRead(t *testing.T) {
	for kind, layout := range layouts {
		t.Run(kind, func(t *testing.T) {
			data, test := layout(t, t.TempDir())
			var want map[string][]float32
			for _, spoil := range []struct {
				name string
				file func(string) error
			}{
				{"whole", func(string) error { return nil }},
				{"broken", func(name string) error { return os.WriteFile(name, []byte("broken"), 0o644) }},
				{"removed", func(name string) error {
					if kind == "imagefolder" { // whose classes must be the same in all parts
						return os.WriteFile(name, nil, 0o644)
					}
					return os.Remove(name)
				}},
			} {
				for _, name := range test {
					if err := spoil.file(name); err != nil {
						t.Fatal(err)
					}
				}
				out := t.TempDir()
				mustRun(t, small(data, out, "--quiet", "--epochs", "2")...)
				got := must(must(runs.Open(filepath.Join(out, "trial"))).State("convnet-1", runs.Best)).Weights
				if want == nil {
					want = got
				}
				if len(want) == 0 || !maps.EqualFunc(got, want, slices.Equal[[]float32]) {
					t.Errorf("%s test files changed the student", spoil.name)
				}
			}
		})
	}
}

// TestTrainOnEveryLayout trains with every augmentation and a cache, and again
// without, interrupted and resumed: the weights are the same.
func TestTrainOnEveryLayout(t *testing.T) {
	for kind, layout := range layouts {
		t.Run(kind, func(t *testing.T) {
			data, _ := layout(t, t.TempDir())
			flags := []string{"--epochs", "2", "--flip", "--pad-crop", "2", "--pad-mode", "zero", "--resized-crop", "0.5", "--erase", "0.5",
				"--brightness", "0.2", "--contrast", "0.2", "--saturation", "0.2", "--hue", "0.1", "--size", "14x10"}
			whole, parts := t.TempDir(), t.TempDir()
			mustRun(t, small(data, whole, append(flags, "--quiet")...)...)
			config := string(must(os.ReadFile(filepath.Join(whole, "trial", "config.yaml"))))
			for _, line := range []string{"max_ratio: 1.3333333333333333", "min_area: 0.02", "probability: 0.5", "hue: 0.1", "cache: 1024"} {
				if !strings.Contains(config, line) {
					t.Errorf("config.yaml lacks %q:\n%s", line, config)
				}
			}
			run := filepath.Join(parts, "trial")
			r := trainAnd(t, small(data, parts, append(flags, "--cache", "0")...), func(interrupt func()) { interrupt() })
			if !strings.Contains(r.stderr, "interrupted in epoch 2") {
				t.Fatalf("the run was not interrupted: %s", r.stderr)
			}
			mustRun(t, "train", "--resume", run, "--quiet")
			measured := mustRun(t, "eval", run)
			if people := kind == "market1501"; people != strings.Contains(measured.stdout, "val part") || people != strings.Contains(measured.stderr, "has no test part") {
				t.Errorf("eval: %+v", measured)
			}
			sameBits(t, "interrupted, without a cache", filepath.Join(whole, "trial"), run)
		})
	}
}

// TestPathNotUTF8: such a path cannot be recorded.
func TestPathNotUTF8(t *testing.T) {
	out := t.TempDir()
	refused(t, dml(t, small("caf\xe9", out)...), `--data: "`, `caf\xe9" is not valid UTF-8`, "rename or link it")
	isEmpty(t, out)
}

// TestEvalBatchBeyondTheData: memory follows the images there are, not the
// batch asked for.
func TestEvalBatchBeyondTheData(t *testing.T) {
	run := set(t, "trial", "runs", "trial")
	allocated := func(batch string) (uint64, string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := mustRun(t, "eval", run, "--batch", batch)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc, r.stdout
	}
	fitting, want := allocated("12")
	if beyond, got := allocated("65536"); got != want || beyond > 2*fitting {
		t.Errorf("a batch of 65536 for 12 images allocates %d bytes, one of 12 %d; it prints\n%s\nthe other\n%s", beyond, fitting, got, want)
	}
}
