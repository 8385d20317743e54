package app

import (
	"archive/tar"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReIDOSNet evaluates a network of other origin on the images of real
// persons, which are not part of the repository, from the JPEG files. Another
// program's figures are met up to what JPEG decoders differ by.
func TestReIDOSNet(t *testing.T) {
	needRuntime(t)
	shared := filepath.Join("..", "..", "..", "..", "..", "shared", "data")
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
	}{{"--multi-query=false", 0.5989, 0.5810, 0.7124}, {"--multi-query", 0.6639, 0.6491, 0.8164}} {
		s := parseScores(t, mustRun(t, "reid", "eval", "--features", out, "--json", tc.flag).stdout)
		t.Logf("%s: mAP %.4f, by trapezoids %.4f, rank 1 %.4f", s.Protocol, s.MAP, s.Trapezoidal, s.CMC["1"])
		if math.Abs(s.MAP-tc.mAP) > 0.005 || math.Abs(s.Trapezoidal-tc.trapezoidal) > 0.005 || math.Abs(s.CMC["1"]-tc.first) > 0.01 ||
			s.Queries != 453 || s.Valid != 452 || s.Gallery != 1026 {
			t.Errorf("%+v, want %+v", s, tc)
		}
	}
}
