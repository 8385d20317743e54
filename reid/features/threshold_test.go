package features

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
)

func threshold() Threshold {
	recipe := Recipe{
		Models:        []Model{{File: "a.onnx", SHA256: strings.Repeat("0a", 32), Features: 2}},
		Preprocessing: Preprocessing{Height: 16, Width: 8, Interpolation: "bilinear", Mean: []float32{.5}, Std: []float32{.25}, ChannelOrder: "rgb", Layout: "nchw"},
		Normalisation: L2, Dim: 2,
	}
	return NewThreshold(recipe, Data{Path: "market", SHA256: "x"}, .01, &reid.Calibration{Metric: reid.Cosine, Threshold: .3125, FPR: .009, TPR: .8,
		AUC: .95, EER: .1, Same: 100, Different: 1000, Accepted: 9})
}

func TestThreshold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "threshold.json")
	want := threshold()
	if err := WriteThreshold(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadThreshold(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
	if !got.Same(.3124) || got.Same(.3125) {
		t.Error("the threshold itself is the nearest distance of two people")
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
	if err := WriteThreshold(path, bad); !errors.Is(err, ErrThreshold) || !strings.Contains(err.Error(), "tpr") {
		t.Errorf("%v", err)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(text) {
		t.Error("a refused threshold changed the file")
	}
}

func TestThresholdRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "threshold.json")
	if err := WriteThreshold(path, threshold()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ old, replacement, want string }{
		{`"format": 2`, `"format": 3`, "newer"},
		{`"format": 2`, `"format": 0`, "format is 0"},
		{`"format": 2`, `"format": 1`, "edited"},
		{`"threshold": 0.3125,`, ``, "no threshold"},
		{`"threshold": 0.3125`, `"threshold": -1`, "threshold is -1"},
		{`"threshold": 0.3125`, `"threshold": 3`, "threshold is 3"},
		{`"threshold": 0.3125`, `"threshold": 1e300`, "threshold is 1e+300"},
		{`"metric": "cosine",`, ``, "no metric"},
		{`"metric": "cosine"`, `"metric": "euclidean"`, "edited"},
		{`"metric": "cosine"`, `"metric": "dot"`, "edited"},
		{`"fingerprint"`, `"print"`, "no fingerprint"},
		{`"accepted": 9,`, ``, "no accepted"},
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
		if _, err := ReadThreshold(bad); tc.want != "JSON" && (!errors.Is(err, ErrThreshold) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "bad.json")) || err == nil {
			t.Errorf("%s: %v", tc.replacement, err)
		}
	}
	if _, err := ReadThreshold(filepath.Join(dir, "none.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestOldThreshold reads what version 1 of the format wrote.
func TestOldThreshold(t *testing.T) {
	old := threshold()
	old.Format = 1
	text, err := json.Marshal(thresholdFile{old.Recipe.Fingerprint(), old})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeThreshold(text); err != nil || !reflect.DeepEqual(got, old) {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzDecodeThreshold: what is accepted is valid, and written it is accepted again.
func FuzzDecodeThreshold(f *testing.F) {
	path := filepath.Join(f.TempDir(), "threshold.json")
	if err := WriteThreshold(path, threshold()); err != nil {
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
		read, err := decodeThreshold(data)
		if err != nil {
			return
		}
		if err := read.Validate(); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(thresholdFile{read.Fingerprint(), read})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeThreshold(text); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	})
}
