package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/train"
)

// checkEqualRuns compares the files of two runs that should not differ.
func checkEqualRuns(t *testing.T, what, one, other string) {
	t.Helper()
	for _, name := range []string{"convnet-1/last.ckpt", "second/last.ckpt", "convnet-1/best.ckpt", "second/best.ckpt", "results.csv"} {
		name = filepath.FromSlash(name)
		if !bytes.Equal(must(os.ReadFile(filepath.Join(one, name))), must(os.ReadFile(filepath.Join(other, name)))) {
			t.Errorf("%s: %s differs", what, name)
		}
	}
}

func events(t *testing.T, run string) string {
	t.Helper()
	return string(must(os.ReadFile(filepath.Join(run, "events.jsonl"))))
}

func TestDryRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "runs")
	r := mustRun(t, small(mnistFolder(t, 60, 12), out, "--dry-run")...)
	for _, want := range []string{"memory", "MiB", "step", "epoch", "(3 steps and validation)", "total", "(3 epochs)"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in\n%s", want, r.stdout)
		}
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("%s was made", out)
	}
	limited := mustRun(t, small(mnistFolder(t, 60, 12), out, "--dry-run", "--epochs", "1000000", "--max-steps", "4")...)
	if !strings.Contains(limited.stdout, "s (until it is stopped)") {
		t.Errorf("four steps:\n%s", limited.stdout)
	}
	refused(t, dml(t, small(mnistFolder(t, 60, 12), out, "--dry-run", "--lr", "1e30")...), "epoch 1, step 2", `student "convnet-1"`, "a lower learning rate")
}

// TestStopsAndGoesOn stops runs early in every way and continues them: they end
// as the run that was never stopped.
func TestStopsAndGoesOn(t *testing.T) {
	data, whole := mnistFolder(t, 60, 12), t.TempDir()
	mustRun(t, small(data, whole, "--quiet")...)
	for _, tc := range []struct {
		flag, value, reason, said string
		more                      []string // to continue with
	}{
		{"--max-steps", "4", "max_steps", "stopped after step 4, with the state saved", []string{"--max-steps", "0"}},
		{"--time", "1ns", "time", "as the time was over", []string{"--time", "1h"}},
	} {
		out := t.TempDir()
		run := filepath.Join(out, "trial")
		first := mustRun(t, small(data, out, tc.flag, tc.value)...)
		if !strings.Contains(first.stderr, tc.said) || !strings.Contains(first.stderr, "dml train --resume "+run) {
			t.Errorf("%s: %s", tc.flag, first.stderr)
		}
		if tc.flag == "--time" && first.stdout != "" {
			t.Errorf("results before the first epoch: %s", first.stdout)
		}
		if text := events(t, run); !strings.Contains(text, `"event":"stopped"`) || !strings.Contains(text, `"detail":"`+tc.reason+`"`) {
			t.Errorf("%s is recorded as %s", tc.flag, text)
		}
		mustRun(t, append([]string{"train", "--resume", run, "--quiet"}, tc.more...)...)
		checkEqualRuns(t, tc.flag, filepath.Join(whole, "trial"), run)
	}

	out := t.TempDir()
	patient := mustRun(t, small(data, out, "--epochs", "1000", "--lr", "1e-20", "--patience", "2")...)
	if !strings.Contains(patient.stderr, "no student got better any more") || !strings.Contains(events(t, filepath.Join(out, "trial")), `"detail":"patience"`) {
		t.Errorf("--patience: %s", patient.stderr)
	}
}

func TestDivergenceNamesTheLastGoodCheckpoint(t *testing.T) {
	out := t.TempDir()
	r := dml(t, small(mnistFolder(t, 60, 12), out, "--lr", "1e30", "--quiet")...)
	run := filepath.Join(out, "trial")
	refused(t, r, "epoch 1, step 2", `student "convnet-1"`, "the last good checkpoint, of epoch 0, step 0, is "+filepath.Join(run, "convnet-1", "last.ckpt"))
	if _, err := train.ReadState(filepath.Join(run, "convnet-1", "last.ckpt")); err != nil {
		t.Error(err)
	}
	if text := events(t, run); !strings.Contains(text, `"event":"diverged","epoch":0,"step":2`) {
		t.Errorf("recorded as %s", text)
	}
}

// TestResumePassesOverADamagedCheckpoint: it says so, records it, and ends as
// the run whose checkpoints were in order.
func TestResumePassesOverADamagedCheckpoint(t *testing.T) {
	data, whole, out := mnistFolder(t, 60, 12), t.TempDir(), t.TempDir()
	mustRun(t, small(data, whole, "--quiet")...)
	mustRun(t, small(data, out, "--quiet", "--max-steps", "7")...) // epoch 3, step 1
	run := filepath.Join(out, "trial")
	last := filepath.Join(run, "second", "last.ckpt")
	good := must(os.ReadFile(last))
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	writeFile(t, last, damaged)
	r := mustRun(t, "train", "--resume", run, "--max-steps", "0")
	for _, want := range []string{"refused: " + last + ": damaged checkpoint", "going on from the last good checkpoints, of epoch 2, step 0"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q was not said: %s", want, r.stderr)
		}
	}
	if text := events(t, run); !strings.Contains(text, `"event":"refused","epoch":2,"step":0,"detail":"`+last+`: damaged checkpoint`) {
		t.Errorf("recorded as %s", text)
	}
	if kept := must(os.ReadFile(last + ".refused")); !bytes.Equal(kept, damaged) {
		t.Error("the damaged checkpoint was not kept")
	}
	checkEqualRuns(t, "damaged", filepath.Join(whole, "trial"), run)
}

// TestResumePassesOverAForeignCheckpoint puts the checkpoint of a run with
// another seed in the place of the last.
func TestResumePassesOverAForeignCheckpoint(t *testing.T) {
	data, whole, out, foreign := mnistFolder(t, 60, 12), t.TempDir(), t.TempDir(), t.TempDir()
	mustRun(t, small(data, whole, "--quiet")...)
	mustRun(t, small(data, out, "--quiet", "--max-steps", "7")...)
	mustRun(t, small(data, foreign, "--quiet", "--seed", "9", "--epochs", "1")...)
	run := filepath.Join(out, "trial")
	last := filepath.Join(run, "second", "last.ckpt")
	writeFile(t, last, must(os.ReadFile(filepath.Join(foreign, "trial", "second", "last.ckpt"))))
	r := mustRun(t, "train", "--resume", run, "--max-steps", "0")
	for _, want := range []string{"refused: " + last, `seed is "1", was "9"`, "of epoch 2, step 0"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q was not said: %s", want, r.stderr)
		}
	}
	checkEqualRuns(t, "foreign", filepath.Join(whole, "trial"), run)
}

// TestResumeRestoresTheThreads: a run keeps the number that it began with, and
// another is refused unless drift is allowed.
func TestResumeRestoresTheThreads(t *testing.T) {
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	mustRun(t, small(data, out, "--quiet", "--threads", "3", "--max-steps", "2")...)
	run := filepath.Join(out, "trial")
	refused(t, dml(t, "train", "--resume", run, "--threads", "1"), run, "threads: 1, was 3", "--allow-drift")
	if r := dml(t, "train", "--resume", run, "--epochs", "5"); r.code != exitUsage || !strings.Contains(r.stderr, "drop --epochs") {
		t.Errorf("resumed with other epochs: %+v", r)
	}
	for _, flag := range [][]string{{"--out", "elsewhere"}, {"--init-table"}} {
		if r := dml(t, append([]string{"train", "--resume", run}, flag...)...); r.code != exitUsage || !strings.Contains(r.stderr, flag[0]+" is for a run that begins") {
			t.Errorf("resumed with %s: %+v", flag, r)
		}
	}
	mustRun(t, "train", "--resume", run, "--max-steps", "3", "--quiet")
	if st := must(train.ReadState(filepath.Join(run, "second", "last.ckpt"))); st.Machine.Threads != 3 || st.Progress.Epoch*3+st.Progress.Step != 3 {
		t.Errorf("resumed on %+v to %+v", st.Machine, st.Progress)
	}
	r := mustRun(t, "train", "--resume", run, "--threads", "1", "--allow-drift", "--max-steps", "0")
	if st := must(train.ReadState(filepath.Join(run, "second", "last.ckpt"))); st.Machine.Threads != 1 || !strings.Contains(r.stderr, "threads: 1, was 3") {
		t.Errorf("drifted on %+v: %s", st.Machine, r.stderr)
	}
	if text := events(t, run); !strings.Contains(text, `"event":"drift"`) {
		t.Errorf("recorded as %s", text)
	}

	if dir := must(rundir.Open(run)); dir.Config().Threads != 1 {
		t.Errorf("after the drift the configuration says %d threads", dir.Config().Threads)
	}

	// Without --threads a run keeps what this machine has.
	other := t.TempDir()
	mustRun(t, small(data, other, "--quiet", "--epochs", "1")...)
	dir := must(rundir.Open(filepath.Join(other, "trial")))
	st := must(dir.Load("second", rundir.Last))
	if dir.Config().Threads != st.Machine.Threads || st.Machine.Threads < 1 || dir.Config().Backend != "ref" {
		t.Errorf("the configuration says %d threads of %q, the state %+v", dir.Config().Threads, dir.Config().Backend, st.Machine)
	}
	config := filepath.Join(other, "trial", "config.yaml")
	text := string(must(os.ReadFile(config)))
	writeFile(t, config, []byte(strings.Replace(text, fmt.Sprintf("threads: %d", st.Machine.Threads), "threads: 64", 1)))
	refused(t, dml(t, "train", "--resume", filepath.Join(other, "trial")), "threads: 64, was")
}
