package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// layouts makes data sets of equal pictures in every layout that has files of
// its own for testing, and returns what to train on and those files.
var layouts = map[string]func(t *testing.T, dir string) (data string, test []string){
	"imagefolder": func(t *testing.T, dir string) (string, []string) {
		var test []string
		for class := range 2 {
			for i := range 20 {
				name := filepath.Join(fmt.Sprint("class", class), fmt.Sprintf("%02d.png", i))
				writePNG(t, filepath.Join(dir, "train", name), class)
				writePNG(t, filepath.Join(dir, "test", name), class)
				test = append(test, filepath.Join(dir, "test", name))
			}
		}
		return dir, test
	},
	"market1501": func(t *testing.T, dir string) (string, []string) {
		var test []string
		for person := range 2 {
			for i := range 20 {
				name := fmt.Sprintf("%04d_c%ds1_%06d_01.jpg", person+2, 1+i%6, i)
				writePNG(t, filepath.Join(dir, "bounding_box_train", name), person)
				for _, part := range []string{"bounding_box_test", "query", "gt_bbox"} {
					writePNG(t, filepath.Join(dir, part, name), person)
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
				writePNG(t, filepath.Join(dir, name), class)
				writePNG(t, filepath.Join(dir, "test", name), class)
				rows += fmt.Sprintf("%s,class%d,train\ntest/%s,class%d,test\n", name, class, name, class)
				test = append(test, filepath.Join(dir, "test", name))
			}
		}
		writeFile(t, filepath.Join(dir, "list.csv"), []byte(rows))
		return filepath.Join(dir, "list.csv"), test
	},
}

// TestTestDataIsNotRead trains with the files for testing whole, broken and
// removed: the students are the same, to the bit.
func TestTestDataIsNotRead(t *testing.T) {
	for kind, layout := range layouts {
		t.Run(kind, func(t *testing.T) {
			data, test := layout(t, t.TempDir())
			var want []byte
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
				got := must(os.ReadFile(filepath.Join(out, "trial", "convnet-1", "best.ckpt")))
				if want == nil {
					want = got
				}
				if !bytes.Equal(got, want) {
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
			flags := []string{"--quiet", "--epochs", "2", "--flip", "--pad-crop", "2", "--pad-mode", "zero", "--resized-crop", "0.5", "--erase", "0.5",
				"--brightness", "0.2", "--contrast", "0.2", "--saturation", "0.2", "--hue", "0.1", "--size", "14x10"}
			whole, parts := t.TempDir(), t.TempDir()
			mustRun(t, small(data, whole, flags...)...)
			config := string(must(os.ReadFile(filepath.Join(whole, "trial", "config.yaml"))))
			for _, line := range []string{"max_ratio: 1.3333333333333333", "min_area: 0.02", "probability: 0.5", "hue: 0.1", "cache: 1024"} {
				if !strings.Contains(config, line) {
					t.Errorf("config.yaml lacks %q:\n%s", line, config)
				}
			}
			ctx, interrupt := context.WithCancel(t.Context())
			stderr := &callAt{text: "epoch 1/", call: interrupt}
			Run(ctx, append([]string{"dml"}, small(data, parts, append(flags, "--cache", "0", "--quiet=false")...)...), io.Discard, stderr)
			if !strings.Contains(stderr.String(), "interrupted in epoch 2") {
				t.Fatalf("the run was not interrupted: %s", stderr.String())
			}
			mustRun(t, "train", "--resume", filepath.Join(parts, "trial"), "--quiet")
			measured := mustRun(t, "eval", filepath.Join(parts, "trial"))
			if persons := kind == "market1501"; persons != strings.Contains(measured.stdout, "val part") || persons != strings.Contains(measured.stderr, "has no test part") {
				t.Errorf("eval: %+v", measured)
			}
			for _, student := range []string{"convnet-1", "second"} {
				name := filepath.Join("trial", student, "last.ckpt")
				if !bytes.Equal(must(os.ReadFile(filepath.Join(whole, name))), must(os.ReadFile(filepath.Join(parts, name)))) {
					t.Errorf("%s interrupted, without a cache, differs", student)
				}
			}
		})
	}
}

// TestPatternFlag: an own pattern of names, and a bad one.
func TestPatternFlag(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	for person := range 2 {
		for i := range 20 {
			writePNG(t, filepath.Join(dir, "bounding_box_train", fmt.Sprintf("camera%d-person%d-%d.png", i%3, person, i)), person)
		}
	}
	refused(t, dml(t, small(dir, out)...), "camera0-person0-0.png", "give a pattern")
	refused(t, dml(t, small(dir, out, "--pattern", `person(?P<pid>\d+)`)...), "--pattern", "(?P<camera>...)")
	mustRun(t, small(dir, out, "--quiet", "--epochs", "1", "--pattern", `^camera(?P<camera>\d+)-person(?P<pid>\d+)`)...)
	if text := mustRun(t, "eval", filepath.Join(out, "trial"), "--split", "val").stdout; !strings.Contains(text, "val part of "+dir) {
		t.Errorf("eval says %q", text)
	}
}
