package features

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/reid"
)

func recipe() Recipe {
	return Recipe{
		Models:        []Model{{"a.onnx", strings.Repeat("0a", 32), 3}, {"b.onnx", strings.Repeat("1b", 32), 1}},
		Preprocessing: Preprocessing{Height: 256, Width: 128, Interpolation: "bilinear", Mean: []float32{.485, .456, .406}, Std: []float32{.229, .224, .225}, ChannelOrder: "rgb", Layout: "nchw"},
		Normalisation: L2, Dim: 4,
	}
}

func manifest() Manifest {
	return Manifest{Format: ManifestFormat, Recipe: recipe(), Data: Data{Path: "market", SHA256: "x", Pattern: "market1501"},
		Parts:   []Part{{Name: Query, Images: 3, Skipped: 1, Rows: 2}, {Name: Gallery, Images: 4, Rows: 4}},
		Skipped: []Skipped{{Query, "query/broken.jpg", "not a JPEG or PNG image"}}}
}

// TestFingerprint: it changes with all that matters, and with nothing else.
func TestFingerprint(t *testing.T) {
	const fixed = "82e2421416648d4b7b39c70e7a44b4b09145651dccd4d98416a1affac43adc80"
	base := recipe().Fingerprint()
	if base != fixed {
		t.Errorf("the fingerprint of old features has changed: %s", base)
	}
	seen := map[string]string{base: "the recipe itself"}
	for want, change := range map[string]func(*Recipe){
		"model 2: b.onnx (SHA-256 1b1b1b1b1b1b), and c.onnx (2c2c2c2c2c2c)": func(r *Recipe) { r.Models[1] = Model{"c.onnx", strings.Repeat("2c", 32), 1} },
		"model 1: a.onnx":                        func(r *Recipe) { r.Models[0], r.Models[1] = r.Models[1], r.Models[0] },
		"models: 2, and 1":                       func(r *Recipe) { r.Models = r.Models[:1] },
		"height x width: 256x128, and 8x128":     func(r *Recipe) { r.Preprocessing.Height = 8 },
		"256x128, and 256x8":                     func(r *Recipe) { r.Preprocessing.Width = 8 },
		"interpolation: bilinear, and bicubic":   func(r *Recipe) { r.Preprocessing.Interpolation = "bicubic" },
		"crop: 0, and 0.5":                       func(r *Recipe) { r.Preprocessing.Crop = .5 },
		"mean: [0.485 0.456 0.406], and [1 2 3]": func(r *Recipe) { r.Preprocessing.Mean = []float32{1, 2, 3} },
		"std: ":                                  func(r *Recipe) { r.Preprocessing.Std = []float32{1, 2, 3} },
		"channel order: rgb, and bgr":            func(r *Recipe) { r.Preprocessing.ChannelOrder = "bgr" },
		"layout: nchw, and nhwc":                 func(r *Recipe) { r.Preprocessing.Layout = "nhwc" },
		"output: embedding, and logits":          func(r *Recipe) { r.Preprocessing.Output = "logits" },
		"normalisation: l2, and none":            func(r *Recipe) { r.Normalisation = "none" },
		"flip: false, and true":                  func(r *Recipe) { r.Flip = true },
		"features of an image: 4, and 5":         func(r *Recipe) { r.Dim = 5 },
	} {
		other := recipe()
		change(&other)
		if name, twice := seen[other.Fingerprint()]; twice {
			t.Errorf("%q has the fingerprint of %s", want, name)
		}
		seen[other.Fingerprint()] = want
		err := recipe().Match("old/", other, "new.onnx")
		var mismatch *MismatchError
		if !errors.Is(err, reid.ErrFingerprint) || !errors.As(err, &mismatch) || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "old/ and new.onnx: ") || len(mismatch.Differences) == 0 {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	same := recipe()
	same.Models[0].File, same.Models[1].Features, same.Preprocessing.Preset = "renamed.onnx", 0, "torchreid"
	if same.Fingerprint() != base || same.Match("a", recipe(), "b") != nil {
		t.Error("names change the fingerprint")
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	if err := WriteManifest(dir, manifest()); err != nil {
		t.Fatal(err)
	}
	got, err := ReadManifest(dir)
	if err != nil || !reflect.DeepEqual(got, manifest()) {
		t.Errorf("%+v, %v", got, err)
	}
	if p, there := got.Part(Gallery); !there || p.Rows != 4 {
		t.Errorf("%+v", p)
	}
	if _, there := got.Part(MultiQuery); there {
		t.Error("a part that is not there")
	}
	path := filepath.Join(dir, ManifestFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for old, with := range map[string][2]string{
		`"format": 1`:            {`"format": 2`, "a newer one"},
		`"format": 1,`:           {``, "format is 0"},
		`"flip": false`:          {`"flip": true`, "it was edited"},
		`"flip": false,`:         {`"flip": 7,`, "bool"},
		`"dim": 4`:               {`"dim": 0`, "dim is 0"},
		`"l2"`:                   {`"l1"`, "normalisation"},
		`"rows": 2`:              {`"rows": 3`, "in 3 rows"},
		`"name": "gallery"`:      {`"name": "query"`, "twice"},
		`"name": "query"`:        {`"name": "train"`, `no part "train"`},
		`"part": "query"`:        {`"part": "gallery"`, "0 are listed"},
		strings.Repeat("0a", 32): {"0a", "number 1 has the SHA-256"},
		`{`:                      {``, "invalid"},
	} {
		bad := strings.Replace(string(text), old, with[0], 1)
		if bad == string(text) {
			t.Fatalf("%s is not there", old)
		}
		if err := os.WriteFile(path, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadManifest(dir); !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), with[1]) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v lacks %q", old, err, with[1])
		}
	}
	if _, err := ReadManifest(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	bad := manifest()
	bad.Preprocessing.Mean[0] = float32(math.NaN())
	bad.Parts, bad.Pooling = nil, "person"
	empty := t.TempDir()
	err = WriteManifest(empty, bad)
	for _, want := range []string{"NaN", "parts: there are none", `"person"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if files, err := os.ReadDir(empty); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	dir := f.TempDir()
	if err := WriteManifest(dir, manifest()); err != nil {
		f.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format": 1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeManifest(text)
		if err != nil {
			return
		}
		dir := t.TempDir()
		if err := WriteManifest(dir, m); err != nil {
			t.Fatal(err)
		}
		again, err := ReadManifest(dir)
		if err != nil || again.Fingerprint() != m.Fingerprint() || len(again.Parts) != len(m.Parts) {
			t.Fatalf("written and read again: %+v, %v", again, err)
		}
	})
}
