package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
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
func trainAnd(t *testing.T, args []string, call func()) result {
	t.Helper()
	stderr := &callAt{text: "epoch 1/", call: call}
	var stdout bytes.Buffer
	code := Run(t.Context(), append([]string{"dml"}, args...), &stdout, stderr)
	if stderr.call != nil {
		t.Fatalf("no epoch was reported: %s", stderr.String())
	}
	return result{code, stdout.String(), stderr.String()}
}

// TestResumeAfterAnEdit changes settings of a run that its state depends on.
func TestResumeAfterAnEdit(t *testing.T) {
	out := t.TempDir()
	mustRun(t, small(mnistFolder(t, 60, 12), out, "--epochs", "1", "--quiet")...)
	run := filepath.Join(out, "trial")
	config := filepath.Join(run, "config.yaml")
	text := string(must(os.ReadFile(config)))
	for key, edit := range map[string][2]string{
		`seed is "2", was "1"`:              {"\nseed: 1\n", "\nseed: 2\n"},
		`batch is "8", was "16"`:            {"\nbatch: 16\n", "\nbatch: 8\n"},
		`mode is "independent", was "dml"`:  {"\nmode: dml\n", "\nmode: independent\n"},
		`optimizer.learning_rate is "0.01"`: {"learning_rate: 0.05\n", "learning_rate: 0.01\n"},
	} {
		edited := strings.Replace(text, edit[0], edit[1], 1)
		if edited == text {
			t.Fatalf("%q is not in %s:\n%s", edit[0], config, text)
		}
		writeFile(t, config, []byte(edited))
		refused(t, dml(t, "train", "--resume", run, "--quiet"), run, key, "Undo that in its config.yaml")
	}
	writeFile(t, config, []byte(strings.Replace(text, "\nepochs: 1\n", "\nepochs: 2\n", 1)))
	if longer := mustRun(t, "train", "--resume", run); !strings.Contains(longer.stderr, "epoch 2/2") {
		t.Errorf("a run that was given another epoch: %+v", longer)
	}
}

// TestTwoTrainersOfOneRun trains in a folder while another command does.
func TestTwoTrainersOfOneRun(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: no locks between processes on this system")
	}
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	run := filepath.Join(out, "trial")
	first := trainAnd(t, small(data, out), func() {
		refused(t, dml(t, small(data, out)...), run, "another process is training", "another --name")
		refused(t, dml(t, "train", "--resume", run), run, "another process is training")
		mustRun(t, "eval", run, "--checkpoint", "last")
	})
	if first.code != exitOK {
		t.Errorf("the first trainer: %+v", first)
	}
	refused(t, dml(t, small(data, out)...), run, "exists already", "dml train --resume "+run)
}

// TestDataErrorWhileTraining breaks an image after the first epoch, mends it
// and follows the advice of the message.
func TestDataErrorWhileTraining(t *testing.T) {
	data, whole := t.TempDir(), t.TempDir()
	for class, name := range []string{"left", "right"} {
		for i := range 20 {
			writePNG(t, filepath.Join(data, "train", name, fmt.Sprintf("%02d.png", i)), class)
			writePNG(t, filepath.Join(data, "val", name, fmt.Sprintf("%02d.png", i)), class)
		}
	}
	mustRun(t, small(data, whole, "--quiet")...)
	for _, part := range []string{"train", "val"} {
		image, parts := filepath.Join(data, part, "left", "07.png"), t.TempDir()
		good := must(os.ReadFile(image))
		// What is kept in memory would not be read again.
		r := trainAnd(t, small(data, parts, "--cache", "0"), func() { writeFile(t, image, good[:20]) })
		run := filepath.Join(parts, "trial")
		advice := "once this is mended, continue with: dml train --resume " + run
		if r.code != exitFailure || !strings.Contains(r.stderr, image) || !strings.Contains(r.stderr, advice) {
			t.Errorf("a broken image in %s: %+v", part, r)
		}
		writeFile(t, image, good)
		mustRun(t, "train", "--resume", run, "--quiet")
		for _, name := range []string{"convnet-1/last.ckpt", "second/best.ckpt", "results.csv"} {
			name = filepath.FromSlash(name)
			if !bytes.Equal(must(os.ReadFile(filepath.Join(whole, "trial", name))), must(os.ReadFile(filepath.Join(run, name)))) {
				t.Errorf("%s of the run resumed after an error in %s differs", name, part)
			}
		}
	}
}
