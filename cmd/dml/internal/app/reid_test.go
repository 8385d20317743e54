package app

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// reidFiles writes features of 12 persons by 3 cameras, which are found in part,
// and returns the flags that name them.
func reidFiles(t *testing.T) (dir string, flags []string) {
	t.Helper()
	dir = t.TempDir()
	flags = []string{"reid", "eval"}
	for _, part := range []string{"query", "gallery"} {
		m := features.Matrix{Dim: 3}
		labels := "name,pid,camid\n"
		if part == "gallery" {
			labels = "path,pid,camid,split\njunk.jpg,-1,1,\ndistractor.jpg,0,2,\n"
			m.Data = append(m.Data, 1, 0, 0, 0, 1, 0)
		}
		for i := range 36 {
			if (i%3 == 0) == (part == "query") {
				angle := float64(i) / 36 * 2 * math.Pi * float64(1+i%2)
				m.Data = append(m.Data, float32(math.Cos(angle)), float32(math.Sin(angle)), .5)
				labels += fmt.Sprintf("%s %d.jpg,%d,%d%s\n", part, i, 1+i/3, 1+i%3, map[bool]string{true: ",test"}[part == "gallery"])
			}
		}
		m.Rows = len(m.Data) / m.Dim
		npy, list := filepath.Join(dir, part+".npy"), filepath.Join(dir, part+".csv")
		if err := features.WriteNPY(npy, m); err != nil {
			t.Fatal(err)
		}
		writeFile(t, list, []byte(labels))
		flags = append(flags, "--"+part, npy, "--"+part+"-labels", list)
	}
	return dir, flags
}

func TestReIDEval(t *testing.T) {
	dir, flags := reidFiles(t)
	with := func(more ...string) []string { return append(append([]string(nil), flags...), more...) }
	perQuery := filepath.Join(dir, "queries.csv")
	var r reid.Result
	text := mustRun(t, with("--json", "--rerank", "--k1", "5", "--k2", "2", "--per-query", perQuery, "--top", "4")...).stdout
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if r.Protocol != "single_query" || r.Metric != "cosine" || r.Queries != 12 || r.ValidQueries != 12 || r.Gallery != 26 || r.Junk != 1 || r.Distractors != 1 ||
		!(r.MAP > .1 && r.MAP < 1) || r.Rerank == nil || r.Rerank.K1 != 5 || r.Rerank.Lambda != .3 || !(r.Rerank.MAP > .1) {
		t.Errorf("%s", text)
	}
	f, err := os.Open(perQuery)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 13 || len(rows[0]) != 9+4+3*4 || rows[1][0] != "query 0.jpg" || rows[1][3] != "true" || rows[1][4] != "2" ||
		!strings.Contains(rows[1][13], ".jpg") || rows[0][13] != "nearest_1" {
		t.Errorf("%v: %q", err, rows)
	}

	table := mustRun(t, with("--rerank", "--by-camera")...).stdout
	for _, want := range []string{"single query", "12 of 12 queries valid", "26 images: 1 junk, 1 distractor", "mAP (rectangles)   " + console.Percent(r.MAP), "RE-RANKED", "rank 20", "TPR at FPR 0.01", "CAMERA  2 ", "\n1       "} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if out := mustRun(t, with("--multi-query", "--metric", "dot", "--expand", "1", "--float64")...).stdout; !strings.Contains(out, "dot distance, multiple queries, pooled from query and gallery, expanded by 1") || strings.Contains(out, "RE-RANKED") {
		t.Errorf("%s", out)
	}
	if out := mustRun(t, with("--rerank", "--lambda", "0", "--rerank-top", "9", "--json")...).stdout; !strings.Contains(out, `"lambda": 0,`) || !strings.Contains(out, `"top": 9,`) {
		t.Errorf("%s", out)
	}
}

func TestReIDEvalBadInput(t *testing.T) {
	dir, flags := reidFiles(t)
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{nil, "--query, --query-labels, --gallery, --gallery-labels"},
		{flags[2:4], "--query-labels, --gallery, --gallery-labels"},
		{append(flags[2:len(flags):len(flags)], "--metric", "far"), "cosine, euclidean or dot"},
		{append(flags[2:len(flags):len(flags)], "--k1", "3"), "--rerank, which is not given"},
		{append(flags[2:len(flags):len(flags)], "--top", "3"), "--per-query"},
		{append(flags[2:len(flags):len(flags)], "--expand", "-1"), "--expand"},
		{append(flags[2:len(flags):len(flags)], "--rerank", "--lambda", "2"), "--lambda"},
		{append(flags[2:len(flags):len(flags)], "--rerank", "--k2", "0"), "--k2"},
		{append(flags[2:len(flags):len(flags)], "--rerank", "--rerank-top", "9999"), "--rerank-top"},
		{append(flags[2:len(flags):len(flags)], "stray"), "stray"},
	} {
		if r := dml(t, append([]string{"reid", "eval"}, tc.flags...)...); r.code != exitUsage || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
			t.Errorf("%q: %+v, want %q", tc.flags, r, tc.want)
		}
	}
	if r := dml(t, "reid", "nonesuch"); r.code != exitUsage || !strings.Contains(r.stderr, "nonesuch") {
		t.Errorf("%+v", r)
	}
	perQuery := []string{"--per-query", filepath.Join(dir, "queries.csv")}
	spoil := func(name string, data []byte, want ...string) {
		t.Helper()
		dir, flags := reidFiles(t)
		writeFile(t, filepath.Join(dir, name), data)
		refused(t, dml(t, append(flags, perQuery...)...), want...)
		if _, err := os.Stat(perQuery[1]); err == nil {
			t.Error("a file was written in spite of the failure")
		}
	}
	good := must(os.ReadFile(filepath.Join(dir, "query.npy")))
	spoil("query.npy", good[:len(good)-1], "cut off")
	spoil("query.npy", append(good[:len(good)-4:len(good)-4], 0, 0, 0xc0, 0x7f), "row 11", "NaN")
	spoil("gallery.csv", []byte("name,pid,camid\na,1,1\n"), "26 rows", "gallery.npy", "has 1")
	spoil("query.csv", []byte("name,pid,camid\na,1,1\nb,-7,1\n"), "row 3", "identity -7")
	other := strings.Replace(string(must(os.ReadFile(filepath.Join(dir, "query.npy")))), "(12, 3)", "(9, 4) ", 1)
	spoil("query.npy", []byte(other), "9 rows", "has 12")
	labels := "name,pid,camid\n" + strings.Repeat("a,99,1\n", 12)
	spoil("query.csv", []byte(labels), "no query has a match")
}

// TestReIDEvalFixture evaluates float16 features of a real network, which are
// not part of the repository, as other programs found them.
func TestReIDEvalFixture(t *testing.T) {
	data := filepath.Join("..", "..", "..", "..", "..", "shared", "data", "reid-eval", "market_val100_junk")
	if _, err := os.Stat(data); err != nil {
		t.Skipf("skipped: the developers' data is not there: %v", err)
	}
	dir := t.TempDir()
	args := []string{"reid", "eval", "--json", "--metric", "dot"}
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
	var got reid.Result
	if err := json.Unmarshal([]byte(mustRun(t, args...).stdout), &got); err != nil {
		t.Fatal(err)
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-4 }
	if !near(got.MAP, want.Single.MAP) || !near(got.MAPTrapezoidal, want.Single.Trapezoidal) || !near(got.CMC[1], want.Single.Rank1) ||
		got.ValidQueries != 362 || got.Junk != 75 || got.Distractors != 126 {
		t.Errorf("%+v, want %+v", got, want.Single)
	}
}
