//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// killedRun is "dml train" as a process of its own: the command line that begins
// the run, with more flags, or the one that continues it.
func killedRun(t *testing.T, data, out string, more ...string) *exec.Cmd {
	t.Helper()
	args := []string{"train", "--quiet", "--resume", filepath.Join(out, "trial")}
	if _, err := os.Stat(filepath.Join(out, "trial", "config.yaml")); err != nil {
		args = append([]string{"train", "--quiet", "--data", data, "--student", "convnet", "--student", "convnet", "--epochs", "40",
			"--batch", "8", "--optimizer", "adam", "--schedule", "cosine", "--warmup", "1.5", "--flip", "--pad-crop", "1",
			"--threads", "2", "--out", out, "--name", "trial"}, more...)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = new(bytes.Buffer)
	return cmd
}

// finish runs a command to its end and returns how long it took.
func finish(t *testing.T, cmd *exec.Cmd) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, cmd.Stderr)
	}
	return time.Since(begin)
}

// runFiles returns the files of a run that do not tell of its history, the
// timings in its metrics set to 0.
func runFiles(t *testing.T, run string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := fs.WalkDir(os.DirFS(run), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == "events.jsonl" {
			return err
		}
		data, err := os.ReadFile(filepath.Join(run, name))
		if err != nil {
			return err
		}
		if name == "metrics.jsonl" {
			data = withoutTimings(t, data)
		}
		files[name] = string(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func withoutTimings(t *testing.T, metrics []byte) []byte {
	t.Helper()
	var out []byte
	for line := range bytes.Lines(metrics) {
		var report map[string]any
		if err := json.Unmarshal(line, &report); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, timing := range []string{"seconds", "images_per_second"} {
			if _, ok := report[timing]; !ok {
				t.Fatalf("no %s in %q", timing, line)
			}
			delete(report, timing)
		}
		line, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, line...), '\n')
	}
	return out
}

// TestKilledRunsEndInTheSameBits kills a training process 20 times, at random
// moments from its start on, and continues it each time. Whenever the run comes
// to its end, all its files are those of the run that was never killed.
func TestKilledRunsEndInTheSameBits(t *testing.T) {
	const kills = 20
	data, whole := images(t), t.TempDir()
	total := finish(t, killedRun(t, data, whole))
	begin := finish(t, killedRun(t, data, whole)) // which has nothing to do
	want := runFiles(t, filepath.Join(whole, "trial"))
	if len(want) < 11 {
		t.Fatalf("the run has only %d files", len(want))
	}
	// A process lives for its start and up to an eighth of the training.
	span := begin + (total-begin)/8
	rng := rand.New(rand.NewPCG(20, 7))
	moments := make(map[string]int)
	for killed, rounds := 0, 1; killed < kills; rounds++ {
		out := t.TempDir()
		ended := false
		for !ended && killed < kills {
			cmd := killedRun(t, data, out)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rng.Float64() * float64(span)))
			if err := cmd.Process.Kill(); err != nil && err != os.ErrProcessDone {
				t.Fatal(err)
			}
			err := cmd.Wait()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			switch {
			case status.Signaled() && status.Signal() == syscall.SIGKILL:
				killed++
				moments[moment(t, filepath.Join(out, "trial"))]++
			case err == nil:
				ended = true // before the kill
			default:
				t.Fatalf("%v: %s", err, cmd.Stderr)
			}
		}
		finish(t, killedRun(t, data, out))
		got := runFiles(t, filepath.Join(out, "trial"))
		for name, content := range want {
			if got[name] != content {
				t.Errorf("round %d: %s differs from that of the run that was never killed", rounds, name)
			}
		}
		if len(got) != len(want) {
			t.Errorf("round %d: %d files, want %d", rounds, len(got), len(want))
		}
	}
	t.Logf("killed %v; the run takes %v, its start %v", moments, total, begin)
}

// TestKilledModesEndInTheSameBits kills a run of other modes and orders once,
// after its first epoch, and continues it: all its files are those of the run
// that was never killed.
func TestKilledModesEndInTheSameBits(t *testing.T) {
	data, folder := images(t), t.TempDir()
	finish(t, killedRun(t, data, folder, "--mode", "independent", "--epochs", "12", "--backend", "ref"))
	teacher := filepath.Join(folder, "trial", "convnet-1")
	for name, flags := range map[string][]string{
		"distill":          {"--mode", "distill", "--teacher", teacher, "--views", "per_student", "--temperature", "3"},
		"sequential":       {"--order", "sequential", "--student", "convnet", "--mimicry-warmup", "9"},
		"sequential dml_e": {"--order", "sequential", "--mode", "dml_e", "--student", "convnet", "--label-smoothing", "0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			flags, whole := append(flags, "--epochs", "12", "--backend", "ref"), t.TempDir()
			finish(t, killedRun(t, data, whole, flags...))
			want := runFiles(t, filepath.Join(whole, "trial"))
			out := killedOnce(t, data, flags)
			finish(t, killedRun(t, data, out))
			got := runFiles(t, filepath.Join(out, "trial"))
			for name, content := range want {
				if got[name] != content {
					t.Errorf("%s differs from that of the run that was never killed", name)
				}
			}
			if len(got) != len(want) || len(want) < 11 {
				t.Errorf("%d files, want %d, and at least 11", len(got), len(want))
			}
		})
	}
}

// killedOnce starts a run and kills it after its first epoch. It returns the
// folder that the run's folder is in.
func killedOnce(t *testing.T, data string, flags []string) string {
	t.Helper()
	const tries = 20 // a busy machine may let the run end before the kill
	for range tries {
		out := t.TempDir()
		cmd := killedRun(t, data, out, flags...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for running := true; running; {
			select {
			case err := <-ended:
				if err != nil && cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("%v: %s", err, cmd.Stderr)
				}
				if err != nil {
					return out
				}
				running = false
			case <-time.After(time.Millisecond):
				if metrics, err := os.ReadFile(filepath.Join(out, "trial", "metrics.jsonl")); err == nil && len(metrics) > 0 {
					if err := cmd.Process.Kill(); err != nil && err != os.ErrProcessDone {
						t.Fatal(err)
					}
				}
			}
		}
	}
	t.Fatalf("none of %d runs could be killed before its end", tries)
	return ""
}

// moment says what a killed process was about.
func moment(t *testing.T, run string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(run, "config.yaml")); err != nil {
		return "before the run existed"
	}
	for _, pattern := range []string{"*/next.ckpt", "*/.*.tmp", ".*.tmp"} {
		if found, err := filepath.Glob(filepath.Join(run, pattern)); err != nil || len(found) > 0 {
			return "while saving"
		}
	}
	if metrics, err := os.ReadFile(filepath.Join(run, "metrics.jsonl")); err != nil || len(metrics) == 0 {
		return "before the first epoch's end"
	}
	return "between two savings"
}
