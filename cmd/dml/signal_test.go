//go:build unix

package main

import (
	"bufio"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// images writes a folder of images of two classes.
func images(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for class := range 2 {
		for i := range 10 {
			img := image.NewGray(image.Rect(0, 0, 12, 12))
			for x := range 6 {
				img.Set(x+6*class, i, color.White)
			}
			path := filepath.Join(dir, fmt.Sprint(class), fmt.Sprintf("%d.png", i))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := png.Encode(f, img); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// training starts "dml train" by way of a shell command that ends in
// "exec "$@"", and returns once the first epoch is reported.
func training(t *testing.T, shell, data, out, epochs string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", shell, "sh", os.Args[0],
		"train", "--data", data, "--student", "convnet", "--student", "convnet", "--epochs", epochs,
		"--batch", "8", "--lr", "0.01", "--backend", "ref", "--out", out, "--name", "trial")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "epoch 1/") {
			return cmd, lines
		}
	}
	t.Fatalf("no epoch was reported: %v", cmd.Wait())
	return nil, nil
}

// TestSignalsStopInOrder sends a run the signals of a terminal that closes and
// of a system that shuts down.
func TestSignalsStopInOrder(t *testing.T) {
	data := images(t)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if signal.Ignored(sig) {
			t.Logf("%v is ignored here, by nohup perhaps, and programs inherit that: not tested", sig)
			continue
		}
		out := t.TempDir()
		cmd, lines := training(t, `exec "$@"`, data, out, "1000000")
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		last := ""
		for lines.Scan() {
			last = lines.Text()
		}
		err := cmd.Wait()
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(last, "with the state saved; to continue: ") {
			t.Errorf("%v: %v, %q", sig, err, last)
		}
	}
}

// TestNohup: a run that was told to ignore a closing terminal goes on.
func TestNohup(t *testing.T) {
	cmd, lines := training(t, `trap "" HUP; exec "$@"`, images(t), t.TempDir(), "20")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, %q", err, last)
	}
}
