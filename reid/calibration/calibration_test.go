package calibration

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func threshold() Threshold {
	recipe := features.Recipe{
		Models:        []features.Model{{File: "a.onnx", SHA256: strings.Repeat("0a", 32), Features: 2}},
		Preprocessing: features.Preprocessing{Height: 16, Width: 8, Interpolation: "bilinear", Mean: []float32{.5}, Std: []float32{.25}, ChannelOrder: "rgb", Layout: "nchw"},
		Normalisation: features.L2, Dim: 2,
	}
	return New(recipe, features.Data{Path: "market", SHA256: "x"}, .01, &reid.Calibration{Metric: reid.Cosine, Threshold: .3125, FPR: .009, TPR: .8,
		AUC: .95, EER: .1, Same: 100, Different: 1000, Accepted: 9})
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "threshold.json")
	want := threshold()
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
	if !got.Same(.3124) || got.Same(.3125) {
		t.Error("the threshold itself is the nearest distance of two persons")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"fingerprint": "`+want.Fingerprint()+`"`) {
		t.Errorf("no fingerprint in %s", text)
	}
	bad := want
	bad.TPR = math.NaN()
	if err := Write(path, bad); !errors.Is(err, ErrThreshold) || !strings.Contains(err.Error(), "tpr") {
		t.Errorf("%v", err)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(text) {
		t.Error("a refused threshold changed the file")
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "threshold.json")
	if err := Write(path, threshold()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ old, replacement, want string }{
		{`"format": 1`, `"format": 2`, "newer"},
		{`"format": 1`, `"format": 0`, "format is 0"},
		{`"threshold": 0.3125`, `"threshold": "near"`, "threshold"},
		{`"cosine"`, `"far"`, `"far"`},
		{`"fpr": 0.009`, `"fpr": 1.5`, "fpr is 1.5"},
		{`"same_pairs": 100`, `"same_pairs": 0`, "0 pairs"},
		{`"accepted": 9`, `"accepted": 9000`, "9000"},
		{`"height": 16`, `"height": 32`, "edited"},
		{`"dim": 2`, `"dim": 0`, "dim is 0"},
		{`}`, ``, "JSON"},
	} {
		text := strings.Replace(string(good), tc.old, tc.replacement, 1)
		if text == string(good) {
			t.Fatalf("no %s in\n%s", tc.old, good)
		}
		bad := filepath.Join(dir, "bad.json")
		if err := os.WriteFile(bad, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(bad); tc.want != "JSON" && (!errors.Is(err, ErrThreshold) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "bad.json")) || err == nil {
			t.Errorf("%s: %v", tc.replacement, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "none.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// FuzzDecode: what is accepted is valid, and written it is accepted again.
func FuzzDecode(f *testing.F) {
	path := filepath.Join(f.TempDir(), "threshold.json")
	if err := Write(path, threshold()); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format": 1, "metric": "cosine", "threshold": 1e999}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := decode(data)
		if err != nil {
			return
		}
		if err := read.Validate(); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(file{read.Fingerprint(), read})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(text); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	})
}
