package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/internal/ortruntime/ortlibtest"
)

// refused checks the form of a failure: exit code 1, one message that names
// what is wrong, no trace of a panic, nothing on standard output.
func refused(t *testing.T, r result, wants ...string) {
	t.Helper()
	if r.code != exitFailure {
		t.Errorf("exit code %d, want %d", r.code, exitFailure)
	}
	if r.stdout != "" {
		t.Errorf("standard output: %q", r.stdout)
	}
	if strings.Count(r.stderr, "dml: ") != 1 || !strings.HasPrefix(r.stderr, "dml: ") {
		t.Errorf("not one message: %q", r.stderr)
	}
	for _, bad := range []string{"goroutine", "panic", ".go:"} {
		if strings.Contains(r.stderr, bad) {
			t.Errorf("the message has %q: %s", bad, r.stderr)
		}
	}
	for _, want := range wants {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the message lacks %q: %s", want, r.stderr)
		}
	}
}

// isEmpty checks that nothing was left in a folder.
func isEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: %s", filepath.Join(dir, e.Name()))
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// TestBadData gives train every kind of bad data.
func TestBadData(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, dir string) // of a good MNIST folder
		want  []string
	}{
		{"missing file", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "train-labels-idx1-ubyte.gz")); err != nil {
				t.Fatal(err)
			}
		}, []string{"train-labels-idx1-ubyte"}},
		{"empty folder", func(t *testing.T, dir string) {
			for _, e := range must(os.ReadDir(dir)) {
				if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"an empty folder"}},
		{"truncated", func(t *testing.T, dir string) {
			truncate(t, filepath.Join(dir, "train-images-idx3-ubyte.gz"), 200)
		}, []string{"train-images-idx3-ubyte.gz"}},
		{"wrong magic", func(t *testing.T, dir string) {
			idx(t, filepath.Join(dir, "train-images-idx3-ubyte.gz"), []int{60, 144}, make([]byte, 60*144))
		}, []string{"train-images-idx3-ubyte.gz", "magic"}},
		{"label out of range", func(t *testing.T, dir string) {
			labels := make([]byte, 60)
			labels[7] = 11
			idx(t, filepath.Join(dir, "train-labels-idx1-ubyte.gz"), []int{60}, labels)
		}, []string{"train-labels-idx1-ubyte.gz", "record 7", "11"}},
		{"fewer labels", func(t *testing.T, dir string) {
			idx(t, filepath.Join(dir, "train-labels-idx1-ubyte.gz"), []int{10}, make([]byte, 10))
		}, []string{"train-labels-idx1-ubyte.gz", "60 images"}},
		{"no images", func(t *testing.T, dir string) {
			idx(t, filepath.Join(dir, "train-images-idx3-ubyte.gz"), []int{0, 12, 12}, nil)
			idx(t, filepath.Join(dir, "train-labels-idx1-ubyte.gz"), []int{0}, nil)
		}, []string{"0 samples", "too few"}},
		{"the same image everywhere", func(t *testing.T, dir string) {
			idx(t, filepath.Join(dir, "train-images-idx3-ubyte.gz"), []int{60, 12, 12}, bytes.Repeat([]byte{7}, 60*12*12))
		}, []string{"the images are all the same", "7 of 255", "check that the files"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data, out := mnistFolder(t, 60, 12), t.TempDir()
			tc.spoil(t, data)
			refused(t, dml(t, small(data, out)...), append(tc.want, data)...)
			isEmpty(t, out)
		})
	}
	t.Run("no such folder", func(t *testing.T) {
		out := t.TempDir()
		refused(t, dml(t, small(filepath.Join(out, "nowhere"), out)...), "nowhere")
		isEmpty(t, out)
	})
	t.Run("CIFAR", func(t *testing.T) {
		data, out := t.TempDir(), t.TempDir()
		batch := filepath.Join(data, "data_batch_1.bin")
		writeFile(t, batch, make([]byte, 3073*20-5))
		refused(t, dml(t, small(data, out)...), "data_batch_1.bin")
		record := make([]byte, 3073*20)
		record[3073] = 10
		writeFile(t, batch, record)
		refused(t, dml(t, small(data, out)...), "data_batch_1.bin", "record 1")
		isEmpty(t, out)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestBrokenImage breaks one image of a folder.
func TestBrokenImage(t *testing.T) {
	data, out := t.TempDir(), t.TempDir()
	for class, name := range []string{"left", "right"} {
		for _, file := range []string{"1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "7.png", "8.png", "9.png", "10.png"} {
			writePNG(t, filepath.Join(data, name, file), class)
		}
	}
	broken := filepath.Join(data, "left", "3.png")
	writeFile(t, broken, []byte("\xff\xd8\xff\xe0\x00\x10JFIF, and then nothing"))
	refused(t, dml(t, small(data, out, "--batch", "4", "--quiet")...), "3.png")
	if onnx, _ := filepath.Glob(filepath.Join(out, "*", "*", "best.ckpt")); len(onnx) > 0 {
		t.Errorf("left behind: %v", onnx)
	}

	needRuntime(t)
	model := exportedStudent(t)
	refused(t, dml(t, "infer", model, broken), "3.png")
	r := dml(t, "infer", model, data, "--top", "99")
	if rows := strings.Count(r.stdout, "\n"); r.code != exitFailure || rows != 19 || strings.Contains(r.stdout, broken) ||
		!strings.Contains(r.stdout, filepath.Join("right", "3.png")) {
		t.Errorf("a folder with a broken image: exit code %d and %d rows:\n%s", r.code, rows, r.stdout)
	}
	r.stdout = ""
	refused(t, r, broken)
	if strings.Contains(r.stderr, "image 1") {
		t.Errorf("the message counts within a batch: %s", r.stderr)
	}
	refused(t, dml(t, "infer", model, filepath.Join(data, "nowhere.png")), "nowhere.png")
	refused(t, dml(t, "infer", model, t.TempDir()), "no JPEG or PNG")
}

// exportedStudent returns the ONNX file of a student that was trained for one
// epoch.
func exportedStudent(t *testing.T) string {
	t.Helper()
	return filepath.Join(copyOf(t, "exportedStudent", func(out string) {
		mustRun(t, small(mnistFolder(t, 60, 12), out, "--epochs", "1", "--quiet")...)
		mustRun(t, "export", filepath.Join(out, "trial"), "--student", "second")
	}), "trial", "onnx", "second.onnx")
}

func TestBadConfig(t *testing.T) {
	out := t.TempDir()
	refused(t, dml(t, "train", "--student", "resnet9", "--student", "convnet", "--mode", "dmll", "--momentum", "2", "--name", "a/b", "--out", out),
		"--data: missing", "--student number 1", "--mode: ", "--momentum: ", "--name: ", `unknown architecture "resnet9"`, "resnet20", `"dmll"`, "momentum", `"a/b"`)
	refused(t, dml(t, "train", "--data", "x", "--student", "convnet", "--size", "0x5", "--out", out),
		"--student: mutual learning needs at least two; for one use mode independent", "--size: 0, with a width of 5")
	refused(t, dml(t, small("caf\xe9", out)...), `--data: "`, `caf\xe9" is not valid UTF-8`, "rename or link it")
	file := filepath.Join(t.TempDir(), "run.yaml")
	writeFile(t, file, []byte("data:\n  path: x\nstudents:\n- arch: convnet\n- arch: convnet\nepoch: 3\n"))
	refused(t, dml(t, "train", "--config", file, "--out", out), file, "epoch", "[6:1]")
	writeFile(t, file, []byte("data:\n  path: x\nbatch: 1\nstudents:\n- arch: nonesuch\n"))
	refused(t, dml(t, "train", "--config", file, "--out", out), file, "batch", "nonesuch", "at least two")
	refused(t, dml(t, "train", "--config", filepath.Join(out, "nowhere.yaml")), "nowhere.yaml")
	refused(t, dml(t, small(mnistFolder(t, 60, 12), out, "--kind", "pictures")...), "pictures", "imagefolder")
	isEmpty(t, out)
}

func TestBadModel(t *testing.T) {
	needRuntime(t)
	image := filepath.Join(t.TempDir(), "image.png")
	writePNG(t, image, 0)
	model := exportedStudent(t)
	whole := must(os.ReadFile(model))
	data := mnistFolder(t, 30, 12)
	spoiled := filepath.Join(t.TempDir(), "spoiled.onnx")
	for name, content := range map[string][]byte{
		"text": []byte("this is no model\n"), "empty": nil, "truncated": whole[:len(whole)/2], "image": must(os.ReadFile(image)),
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, spoiled, content)
			refused(t, dml(t, "infer", spoiled, image), spoiled, "not an ONNX model")
			refused(t, dml(t, "infer", model, spoiled, image), spoiled, "not an ONNX model")
			refused(t, dml(t, "eval", spoiled, "--data", data), spoiled, "not an ONNX model")
		})
	}
	refused(t, dml(t, "infer", filepath.Join(t.TempDir(), "nowhere.onnx"), image), "nowhere.onnx")
	refused(t, dml(t, "infer", model, model, image), model, "the same file")
	twin := filepath.Join(t.TempDir(), "link.onnx")
	if err := os.Symlink(model, twin); err == nil {
		refused(t, dml(t, "eval", model, twin, "--data", data), model, twin, "the same file")
	}

	odd := filepath.Join(t.TempDir(), "odd\x1b[31m.onnx") // it would colour the terminal
	writeFile(t, odd, []byte("this is no model\n"))
	refused(t, dml(t, "infer", odd, image), `odd\x1b[31m.onnx`, "not an ONNX model")

	var parsed onnxpb.ModelProto
	if err := proto.Unmarshal(whole, &parsed); err != nil {
		t.Fatal(err)
	}
	diverged := proto.CloneOf(&parsed)
	for _, w := range diverged.Graph.Initializer {
		for i := 0; i+4 <= len(w.RawData); i += 4 {
			copy(w.RawData[i:], []byte{0, 0, 0xc0, 0x7f}) // NaN
		}
	}
	writeFile(t, spoiled, must(proto.Marshal(diverged)))
	refused(t, dml(t, "infer", spoiled, image, "--json"), "NaN")
	refused(t, dml(t, "eval", spoiled, "--data", data, "--json"), "NaN")

	parsed.MetadataProps = nil
	foreign := filepath.Join(t.TempDir(), "foreign.onnx")
	writeFile(t, foreign, must(proto.Marshal(&parsed)))
	for _, line := range [][]string{{"infer", foreign, image}, {"infer", model, foreign, image}, {"eval", foreign, "--data", data}} {
		r := dml(t, line...)
		refused(t, r, foreign, "no metadata", "files that dml export wrote")
		if strings.Contains(r.stderr, "use Run") {
			t.Errorf("the message is for programmers: %s", r.stderr)
		}
	}

	other := t.TempDir()
	for class, name := range []string{"cats", "dogs"} {
		for _, file := range []string{"1.png", "2.png", "3.png"} {
			writePNG(t, filepath.Join(other, name, file), class)
		}
	}
	refused(t, dml(t, "eval", model, "--data", other, "--split", "train"), "10 classes", "2")
}

func TestBadRun(t *testing.T) {
	empty := t.TempDir()
	refused(t, dml(t, "export", empty), empty, "no run")
	refused(t, dml(t, "eval", empty), empty, "no run")
	refused(t, dml(t, "eval", filepath.Join(empty, "nope")), "nope: no such run or model")
	refused(t, dml(t, "train", "--resume", empty), empty, "no run")

	out := t.TempDir()
	mustRun(t, small(mnistFolder(t, 60, 12), out, "--epochs", "1", "--quiet")...)
	run := filepath.Join(out, "trial")
	refused(t, dml(t, "export", run, "--student", "third"), "third", "convnet-1, second")
	last := filepath.Join(run, "second", "last.ckpt")
	truncate(t, last, 1000)
	refused(t, dml(t, "eval", run, "--checkpoint", "last"), last)
	truncate(t, filepath.Join(run, "second", "previous.ckpt"), 1000)
	truncate(t, filepath.Join(run, "second", "best.ckpt"), 1000)
	refused(t, dml(t, "train", "--resume", run), last, "no state to go on from")
	if err := os.Remove(filepath.Join(run, "second", "best.ckpt")); err != nil {
		t.Fatal(err)
	}
	refused(t, dml(t, "eval", run), "best.ckpt")
	writeFile(t, filepath.Join(run, "config.yaml"), []byte("nonsense: true\n"))
	refused(t, dml(t, "export", run), filepath.Join(run, "config.yaml"), "nonsense")
}

// TestRuntimeMissing points to libraries that cannot serve.
func TestRuntimeMissing(t *testing.T) {
	out := t.TempDir()
	mustRun(t, small(mnistFolder(t, 60, 12), out, "--epochs", "1", "--quiet")...)
	run := filepath.Join(out, "trial")
	onnx := filepath.Join(t.TempDir(), "onnx")

	t.Setenv(ortlib.EnvLibrary, filepath.Join(out, "nowhere.so"))
	refused(t, dml(t, "export", run, "--out", onnx), "nowhere.so", "unset "+ortlib.EnvLibrary)
	if r := dml(t, "doctor"); r.code != exitFailure || r.stderr != "" || !strings.Contains(r.stdout, "dml runtime install") {
		t.Errorf("doctor: %+v", r)
	}

	old := filepath.Join(t.TempDir(), "libonnxruntime.so.1.14.1")
	writeFile(t, old, ortlibtest.Library(t, "1.14.1"))
	t.Setenv(ortlib.EnvLibrary, old)
	refused(t, dml(t, "export", run, "--out", onnx), old, "1.14.1", "unset "+ortlib.EnvLibrary, "dml runtime install")
	if r := dml(t, "doctor", "--json"); r.code != exitFailure || !strings.Contains(r.stdout, `"ok": false`) || !strings.Contains(r.stdout, "1.14.1") {
		t.Errorf("doctor: %+v", r)
	}
	if _, err := os.Stat(onnx); err == nil {
		t.Errorf("%s was made", onnx)
	}
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"nonesuch", "nonesuch"},
		{"train --nonesuch", "nonesuch"},
		{"train --epochs many", "many"},
		{"train --epochs 0", "--epochs"},
		{"train --size 32", "HxW"},
		{"train stray", "stray"},
		{"train", "--resume"},
		{"train --quiet", "--student"},
		{"train --data", "--data"},
		{"export", "folder"},
		{"export a b", "folder"},
		{"export a --checkpoint newest", "newest"},
		{"infer", "ONNX"},
		{"infer a.onnx", "image"},
		{"infer a.onnx b.png --top 0", "--top"},
		{"eval", "folder"},
		{"eval a.onnx", "--data"},
		{"eval a --batch 0", "--batch"},
		{"eval a --batch 3000000", "--batch: 3000000 is not between 1 and 65536"},
		{"eval a --threads 4097", "--threads: 4097"},
		{"infer a.onnx b.png --threads 100000000", "--threads: 100000000 is not between 0 (all cores) and 4096"},
		{"infer a.onnx b.png --threads -1", "--threads: -1"},
		{"train --data x --student convnet --threads 4097", "--threads: 4097"},
		{"eval a.onnx --data b --split val2", "train, val, test, or all"},
		{"models convnet stray", "stray"},
		{"models --batch 1", "--batch"},
		{"models convnet --batch 64", "--batch"},
		{"models --batch -3", "--batch"},
		{"models --batch 64 --backend gpu", "--backend"},
		{"doctor stray", "stray"},
		{"runtime fetch", "fetch"},
		{"demo --epochs 0", "--epochs"},
		{"demo --seed 0", "--seed cannot be 0"},
		{"demo --backend fast", "fast"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			r := dml(t, strings.Fields(tc.line)...)
			if r.code != exitUsage || r.stdout != "" || !strings.HasPrefix(r.stderr, "dml: ") ||
				!strings.Contains(r.stderr, tc.want) || !strings.Contains(r.stderr, "--help") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestEvalOfNothing: scores of no images would be no numbers.
func TestEvalOfNothing(t *testing.T) {
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	mustRun(t, small(data, out, "--epochs", "1", "--quiet")...)
	idx(t, filepath.Join(data, "t10k-images-idx3-ubyte.gz"), []int{0, 12, 12}, nil)
	idx(t, filepath.Join(data, "t10k-labels-idx1-ubyte.gz"), []int{0}, nil)
	refused(t, dml(t, "eval", filepath.Join(out, "trial")), data, "test part holds no image")
}
