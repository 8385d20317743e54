package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDistillation teaches from a run, from the folder of a student, from a
// checkpoint and from the exported file of one teacher: the first three learn
// the same to the bit, and all can be continued.
func TestDistillation(t *testing.T) {
	needRuntime(t)
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	train := func(name string, more ...string) result {
		return mustRun(t, append([]string{"train", "--data", data, "--batch", "16", "--lr", "0.02", "--quiet", "--out", out, "--name", name}, more...)...)
	}
	train("teacher", "--student", "convnet", "--mode", "independent", "--epochs", "2")
	teacher := filepath.Join(out, "teacher")
	mustRun(t, "export", teacher)
	onnx, err := filepath.Glob(filepath.Join(teacher, "onnx", "*.onnx"))
	if err != nil || len(onnx) != 1 {
		t.Fatalf("%d exported files, %v", len(onnx), err)
	}
	var last [][]byte
	for i, path := range []string{teacher, filepath.Join(teacher, "convnet-1"), filepath.Join(teacher, "convnet-1", "best.ckpt"), onnx[0]} {
		name := "taught" + string(rune('0'+i))
		train(name, "--mode", "distill", "--teacher", path, "--student", "small=convnet", "--epochs", "1", "--temperature", "2", "--mimicry-weight", "0.5", "--max-steps", "2")
		run := filepath.Join(out, name)
		mustRun(t, "train", "--resume", run, "--max-steps", "0", "--quiet")
		last = append(last, must(os.ReadFile(filepath.Join(run, "small", "last.ckpt"))))
		if metrics := string(must(os.ReadFile(filepath.Join(run, "metrics.jsonl")))); strings.Contains(metrics, `"mimicry":0,`) || !strings.Contains(metrics, `"mimicry":`) {
			t.Errorf("%s: no mimicry loss in %s", path, metrics)
		}
	}
	if string(last[0]) != string(last[1]) || string(last[0]) != string(last[2]) {
		t.Error("one teacher, named in three ways, teaches three things")
	}
	// Another teacher in the same place is noticed.
	writeFile(t, onnx[0], must(os.ReadFile(otherTeacher(t, data, out))))
	refused(t, dml(t, "train", "--resume", filepath.Join(out, "taught3")), "the teacher is", "sha256:")
}

// otherTeacher exports another classifier of the same data.
func otherTeacher(t *testing.T, data, out string) string {
	t.Helper()
	mustRun(t, "train", "--data", data, "--batch", "16", "--quiet", "--out", out, "--name", "other", "--student", "convnet",
		"--mode", "independent", "--epochs", "1", "--seed", "9")
	mustRun(t, "export", filepath.Join(out, "other"))
	return filepath.Join(out, "other", "onnx", "convnet-1.onnx")
}

func TestUnfitTeachers(t *testing.T) {
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	mustRun(t, small(data, out, "--quiet", "--epochs", "1")...)
	pair := filepath.Join(out, "trial")
	empty := t.TempDir()
	for name, tc := range map[string]struct {
		args  []string
		wants []string
	}{
		"none":            {[]string{"--mode", "distill"}, []string{"--teacher: missing"}},
		"of another mode": {[]string{"--teacher", pair}, []string{"--teacher: mode dml has no teacher", "use mode distill"}},
		"not there":       {[]string{"--mode", "distill", "--teacher", filepath.Join(empty, "x.onnx")}, []string{"the teacher cannot be opened", "x.onnx"}},
		"an empty folder": {[]string{"--mode", "distill", "--teacher", empty}, []string{empty, "neither a run nor the folder of a student"}},
		"of two":          {[]string{"--mode", "distill", "--teacher", pair}, []string{"has several students", "convnet-1,second"}},
		"that knows best": {[]string{"--mode", "distill", "--teacher", filepath.Join(pair, "convnet-1"), "--teacher-mean", "0.5", "--teacher-std", "0.5"}, []string{"says itself", "teacher.mean"}},
	} {
		where := t.TempDir()
		r := dml(t, append([]string{"train", "--data", data, "--student", "convnet", "--student", "convnet", "--out", where}, tc.args...)...)
		t.Log(name)
		refused(t, r, tc.wants...)
		isEmpty(t, where)
	}
	r := dml(t, "train", "--data", data, "--student", "convnet", "--mode", "distill", "--teacher", pair, "--teacher-mean", "a,b")
	if r.code != exitUsage || !strings.Contains(r.stderr, `--teacher-mean: "a,b"`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// TestEqualStudentsAreWarnedOf: the command says so and trains all the same.
func TestEqualStudentsAreWarnedOf(t *testing.T) {
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	config := filepath.Join(t.TempDir(), "equal.yaml")
	writeFile(t, config, []byte("data: {path: "+data+"}\nepochs: 1\nbatch: 16\nstudents: [{arch: convnet, seed: 4}, {arch: convnet, seed: 4}]\n"))
	r := mustRun(t, "train", "--config", config, "--out", out, "--quiet")
	if !strings.Contains(r.stderr, `warning: students "convnet-1" and "convnet-2" are exactly equal`) {
		t.Errorf("no warning in %q", r.stderr)
	}
	if r := mustRun(t, "train", "--config", config, "--out", out, "--dry-run"); !strings.Contains(r.stderr, "are exactly equal") {
		t.Errorf("no warning of a dry run in %q", r.stderr)
	}
	r = mustRun(t, "train", "--config", config, "--out", out, "--quiet", "--name", "turns", "--order", "sequential")
	if strings.Contains(r.stderr, "warning") {
		t.Errorf("a warning in %q", r.stderr)
	}
}
