package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared is a folder with data that are not part of the repository.
var shared = filepath.Join("..", "..", "..", "shared", "data")

// scores is a part of the JSON of dml reid eval.
type scores struct {
	Queries     int                `json:"queries"`
	Valid       int                `json:"valid_queries"`
	Gallery     int                `json:"gallery"`
	Junk        int                `json:"junk"`
	Distractors int                `json:"distractors"`
	MAP         float64            `json:"mAP"`
	Trapezoidal float64            `json:"mAP_trapezoidal"`
	CMC         map[string]float64 `json:"cmc"`
}

func evaluated(t *testing.T, args ...string) (s scores) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustRun(t, append([]string{"reid", "eval", "--json"}, args...)...).stdout), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEvalOfMarketFeatures evaluates float16 features of a real network as other
// programs found them.
func TestEvalOfMarketFeatures(t *testing.T) {
	data := filepath.Join(shared, "reid-eval", "market_val100_junk")
	if _, err := os.Stat(data); err != nil {
		t.Skipf("skipped: the developers' data is not there: %v", err)
	}
	dir, args := t.TempDir(), []string{"--metric", "dot"}
	for _, part := range []string{"query", "gallery"} {
		elements := must(os.ReadFile(filepath.Join(data, part+"_f16le.bin")))
		head := fmt.Sprintf("{'descr': '<f2', 'fortran_order': False, 'shape': (%d, 512), }\n", len(elements)/1024)
		npy := filepath.Join(dir, part+".npy")
		writeFile(t, npy, append([]byte("\x93NUMPY\x01\x00"+string(rune(len(head)))+"\x00"+head), elements...))
		args = append(args, "--"+part, npy, "--"+part+"-labels", filepath.Join(data, part+".csv"))
	}
	var want struct {
		Single struct {
			MAP         float64 `json:"mAP"`
			Trapezoidal float64 `json:"mAP_trapezoid"`
			Rank1       float64 `json:"rank1"`
		} `json:"single_query"`
	}
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(data, "expected.json"))), &want); err != nil {
		t.Fatal(err)
	}
	got := evaluated(t, args...)
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-4 }
	if !near(got.MAP, want.Single.MAP) || !near(got.Trapezoidal, want.Single.Trapezoidal) || !near(got.CMC["1"], want.Single.Rank1) ||
		got.Valid != 362 || got.Junk != 75 || got.Distractors != 126 {
		t.Errorf("%+v, want %+v", got, want.Single)
	}
}

// TestOSNet evaluates a third-party network on the images of real people, from
// the JPEG files. The figures are those of features by Pillow 13.0 and ONNX
// Runtime from Python, met but for one query of the 452.
func TestOSNet(t *testing.T) {
	needRuntime(t)
	archive, err := os.Open(filepath.Join(shared, "market1501-mini.tar"))
	if err != nil {
		t.Skipf("skipped: the developers' data is not there: %v", err)
	}
	defer archive.Close()
	dir := t.TempDir()
	for in := tar.NewReader(archive); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(head.Name, "/")
		if head.Typeflag == tar.TypeReg && (strings.HasPrefix(name, "query/") || strings.HasPrefix(name, "bounding_box_test/")) {
			writeFile(t, filepath.Join(dir, filepath.FromSlash(name)), must(io.ReadAll(in)))
		}
	}
	out := filepath.Join(t.TempDir(), "F")
	mustRun(t, "reid", "extract", filepath.Join(shared, "osnet_x0_25_msmt17.onnx"), "--preprocess", "torchreid", "--data", dir, "--out", out, "--quiet")
	for _, tc := range []struct {
		flag                    string
		mAP, trapezoidal, first float64
	}{{"--multi-query=false", 0.5974, 0.5798, 0.7102}, {"--multi-query", 0.6626, 0.6477, 0.8031}} {
		s := evaluated(t, "--features", out, tc.flag)
		t.Logf("%s: mAP %.4f, by trapezoids %.4f, rank 1 %.4f", tc.flag, s.MAP, s.Trapezoidal, s.CMC["1"])
		if math.Abs(s.MAP-tc.mAP) > 0.001 || math.Abs(s.Trapezoidal-tc.trapezoidal) > 0.001 || math.Abs(s.CMC["1"]-tc.first) > 0.003 ||
			s.Queries != 453 || s.Valid != 452 || s.Gallery != 1026 {
			t.Errorf("%+v, want %+v", s, tc)
		}
	}
}
