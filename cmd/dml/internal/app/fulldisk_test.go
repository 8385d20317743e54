//go:build linux

package app

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// fullDisk returns a folder on a file system of its own with very little
// space.
func fullDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("skipped: a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fileLimit names the environment variable that makes this test binary run its
// arguments as a command line, with a limit on the size of files.
const fileLimit = "DML_TEST_FILE_LIMIT"

func TestMain(m *testing.M) {
	if size, err := strconv.ParseUint(os.Getenv(fileLimit), 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
			panic(err)
		}
		os.Exit(Run(context.Background(), os.Args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// dmlLimited runs a command line in a process whose writes the kernel refuses
// beyond 32 KiB a file, as it does on a full disk.
func dmlLimited(t *testing.T, args ...string) result {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), fileLimit+"=32768")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestFullDisk(t *testing.T) {
	data := mnistFolder(t, 60, 12)
	t.Run("train", func(t *testing.T) {
		disk := fullDisk(t)
		refused(t, dml(t, small(data, disk, "--quiet")...), disk, "no space left")
		isEmpty(t, disk)
	})
	t.Run("export", func(t *testing.T) {
		needRuntime(t)
		disk, out := fullDisk(t), t.TempDir()
		mustRun(t, small(data, out, "--epochs", "1", "--quiet")...)
		refused(t, dml(t, "export", filepath.Join(out, "trial"), "--out", filepath.Join(disk, "onnx")), disk, "no space left")
		isEmpty(t, filepath.Join(disk, "onnx"))
	})
}

// TestWritesRefused is TestFullDisk for machines that may not mount.
func TestWritesRefused(t *testing.T) {
	data, out, onnx := mnistFolder(t, 60, 12), t.TempDir(), t.TempDir()
	refused(t, dmlLimited(t, small(data, out, "--quiet")...), out, "file too large")
	isEmpty(t, out)

	needRuntime(t)
	mustRun(t, small(data, out, "--epochs", "1", "--quiet")...)
	run := filepath.Join(out, "trial")
	refused(t, dmlLimited(t, "export", run, "--out", onnx), onnx, "file too large")
	isEmpty(t, onnx)

	// An export that fails leaves the file of an earlier one as it was.
	mustRun(t, "export", run, "--out", onnx)
	path := filepath.Join(onnx, "second.onnx")
	before := must(os.ReadFile(path))
	refused(t, dmlLimited(t, "export", run, "--out", onnx, "--student", "second", "--checkpoint", "last"), path)
	if after := must(os.ReadFile(path)); string(before) != string(after) {
		t.Error("the earlier file was changed")
	}
}
