package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/retrieval"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/calibration"
)

func TestReIDCalibrateAndSame(t *testing.T) {
	l := reidLook(t)
	dir := t.TempDir()
	file, picture := filepath.Join(dir, "threshold.json"), filepath.Join(dir, "distances.svg")
	r := mustRun(t, "reid", "calibrate", "--features", l.features, "--fpr", "0.05", "--out", file, "--picture", picture)
	for _, want := range []string{"THRESHOLD", "two persons accepted", "wanted: at most 5 %", "equal error rate", file, picture} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	exists(t, picture)
	threshold, err := calibration.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if threshold.FPR > .05 || threshold.TPR <= 0 || threshold.WantedFPR != .05 || threshold.Data.Path != l.data || threshold.SamePairs == 0 {
		t.Errorf("%+v", threshold)
	}
	// The models and the data alone give the same threshold.
	again := filepath.Join(dir, "again.json")
	r = mustRun(t, "reid", "calibrate", l.model, "--data", l.data, "--fpr", "0.05", "--out", again, "--json", "--quiet")
	if !bytes.Equal(must(os.ReadFile(file)), must(os.ReadFile(again))) {
		t.Error("another threshold of the same models and data")
	}
	var printed retrieval.CalibratedJSON
	if err := json.Unmarshal([]byte(r.stdout), &printed); err != nil || printed.Threshold.Threshold != threshold.Threshold || printed.File != again || printed.Fingerprint != threshold.Fingerprint() {
		t.Errorf("%v in %s", err, r.stdout)
	}
	if r := mustRun(t, "reid", "calibrate", "--features", l.features, "--fpr", fmt.Sprint(5.5/float64(threshold.DifferentPairs)), "--out", again); !strings.Contains(r.stderr, "note: 5 of ") {
		t.Errorf("no warning of few pairs: %q", r.stderr)
	}

	images := must(filepath.Glob(filepath.Join(l.data, "query", "*.jpg")))
	same := func(args ...string) (s retrieval.Sameness) {
		t.Helper()
		text := mustRun(t, append([]string{"reid", "same", l.model, "--json"}, args...)...).stdout
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return s
	}
	if s := same(images[0], images[0]); s.Same != nil || s.Threshold != nil || s.Distance > 1e-6 || s.Metric != reid.Cosine || s.Fingerprint != threshold.Fingerprint() {
		t.Errorf("%+v", s)
	}
	if s := same(images[0], images[0], "--threshold", file); s.Same == nil || !*s.Same || *s.Threshold != threshold.Threshold || *s.FPR != threshold.FPR {
		t.Errorf("%+v", s)
	}
	far := same(images[0], images[len(images)-1], "--metric", "euclidean", "--max-distance", "0")
	if far.Same == nil || *far.Same || far.FPR != nil || far.Distance <= 0 || far.Metric != reid.Euclidean {
		t.Errorf("%+v", far)
	}
	// A pair is as far apart as in the ranking.
	ranked := rankings(t, "--features", l.features, "--out", filepath.Join(dir, "r.html"), "--query", filepath.Base(images[0]))
	first := ranked.Rankings[0].Results[0]
	if s := same(images[0], filepath.Join(l.data, filepath.FromSlash(first.Image))); max(s.Distance-first.Distance, first.Distance-s.Distance) > 1e-5 {
		t.Errorf("%v, in the ranking %v", s.Distance, first.Distance)
	}
	for want, args := range map[string][]string{
		"no threshold is given": {images[0], images[1]},
		"same person: ":         {images[0], images[1], "--max-distance", "9"},
		"different persons: ":   {images[0], images[1], "--max-distance", "-9"},
		"on its data ":          {images[0], images[1], "--threshold", file},
	} {
		if r := mustRun(t, append([]string{"reid", "same", l.model}, args...)...); !strings.Contains(r.stdout, want) || !strings.Contains(r.stdout, "cosine distance ") {
			t.Errorf("%q: %s", args, r.stdout)
		}
	}

	refused(t, dml(t, "reid", "same", l.model, images[0], images[1], "--threshold", file, "--flip"), file, "flip: false, and true", "dml reid calibrate")
	other := exportedStudent(t)
	writeFile(t, other, append(must(os.ReadFile(other)), 0x72, 0)) // an unknown, empty field: another file
	if r := dml(t, "reid", "same", other, images[0], images[1], "--threshold", file); r.code != exitFailure || !strings.Contains(r.stderr, "SHA-256") {
		t.Errorf("another model: %+v", r)
	}
	broken := filepath.Join(dir, "broken.jpg")
	writeFile(t, broken, must(os.ReadFile(images[0]))[:200])
	refused(t, dml(t, "reid", "same", l.model, images[0], broken), broken, "broken image")
	refused(t, dml(t, "reid", "same", l.model, images[0], filepath.Join(dir, "none.jpg")), "none.jpg")
	refused(t, dml(t, "reid", "same", l.model, images[0], images[1], "--threshold", images[0]), images[0], "bad threshold")
	refused(t, dml(t, "reid", "calibrate", "--features", l.features, "--fpr", "1e-9", "--out", again), "too few pairs", "ask for")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"same", l.model, images[0]}, "two images"},
		{[]string{"same", images[0], l.model, l.model}, "two images"},
		{[]string{"same", l.model, images[0], images[1], "--threshold", file, "--max-distance", "1"}, "leave one out"},
		{[]string{"same", l.model, images[0], images[1], "--threshold", file, "--metric", "dot"}, "cosine"},
		{[]string{"same", l.model, images[0], images[1], "--metric", "far"}, "euclidean"},
		{[]string{"calibrate"}, "--features"},
		{[]string{"calibrate", l.model, "--features", l.features}, "one place"},
		{[]string{"calibrate", "--features", l.features, "--data", l.data}, "--data"},
		{[]string{"calibrate", "--features", l.features, "--fpr", "0"}, "--fpr"},
		{[]string{"calibrate", "--features", l.features, "--picture", "a.gif"}, ".png or .svg"},
		{[]string{"calibrate", "--features", l.features, "--out", "a.txt"}, ".json"},
		{[]string{"calibrate", "--features", l.features, "--metric", "far"}, "--metric"},
	} {
		if r := dml(t, append([]string{"reid"}, tc.args...)...); r.code != exitUsage || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
			t.Errorf("%q: %+v, want %q", tc.args, r, tc.want)
		}
	}
}
