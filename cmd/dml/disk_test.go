//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// fileLimit names the environment variable that limits the size of the files
// that the program may write, in bytes.
const fileLimit = "DML_TEST_FILE_LIMIT"

func init() {
	limitFiles = func() {
		if size, err := strconv.ParseUint(os.Getenv(fileLimit), 10, 64); err == nil {
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
				panic(err)
			}
		}
	}
}

// dmlLimited runs a command line in a process whose writes the kernel refuses
// beyond 32 KiB a file, as it does on a full disk.
func dmlLimited(t *testing.T, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(), args...)
	cmd.Env = append(os.Environ(), fileLimit+"=32768")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

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

func TestFullDisk(t *testing.T) {
	data := digits(t)
	t.Run("train", func(t *testing.T) {
		disk := fullDisk(t)
		refused(t, dml(t, small(data, disk, "--quiet")...), disk, "no space left")
		isEmpty(t, disk)
	})
	t.Run("export", func(t *testing.T) {
		needRuntime(t)
		disk := fullDisk(t)
		refused(t, dml(t, "export", set(t, "trial", "runs", "trial"), "--out", filepath.Join(disk, "onnx")), disk, "no space left")
		isEmpty(t, filepath.Join(disk, "onnx"))
	})
}

// TestWritesRefused is TestFullDisk for machines that may not mount.
func TestWritesRefused(t *testing.T) {
	out, onnx := t.TempDir(), t.TempDir()
	refused(t, dmlLimited(t, small(digits(t), out, "--quiet")...), out, "file too large")
	isEmpty(t, out)

	needRuntime(t)
	run := set(t, "trial", "runs", "trial")
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
