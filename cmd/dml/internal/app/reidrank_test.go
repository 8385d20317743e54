package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/retrieval"
	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
)

// lookedAt is a drawn data set, a model and features of one by the other.
type lookedAt struct{ data, model, features string }

// reidLook draws persons and extracts their features by a small student.
func reidLook(t *testing.T) lookedAt {
	t.Helper()
	needRuntime(t)
	drawn := copyOf(t, "reidLook", func(dir string) {
		mustRun(t, "reid", "synth", filepath.Join(dir, "walkers"), "--train", "2", "--test", "5", "--cameras", "3", "--images", "2", "--distractors", "0.5", "--junk", "0.25", "--seed", "3")
	})
	l := lookedAt{filepath.Join(drawn, "walkers"), exportedStudent(t), filepath.Join(t.TempDir(), "features")}
	mustRun(t, "reid", "extract", l.model, "--data", l.data, "--out", l.features, "--quiet")
	return l
}

// rankings runs dml reid rank and reads what it prints for programs.
func rankings(t *testing.T, args ...string) retrieval.RankingJSON {
	t.Helper()
	r := mustRun(t, append([]string{"reid", "rank", "--json", "--quiet"}, args...)...)
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	dec.DisallowUnknownFields()
	var j retrieval.RankingJSON
	if err := dec.Decode(&j); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	return j
}

// pictureNames are the texts of the images of a page.
func pictureNames(t *testing.T, path string) []string {
	t.Helper()
	text := string(must(os.ReadFile(path)))
	var names []string
	for _, part := range strings.Split(text, ` alt="`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		names = append(names, name)
	}
	return names
}

func TestReIDRank(t *testing.T) {
	l := reidLook(t)
	out := filepath.Join(t.TempDir(), "ranking.html")
	got := rankings(t, "--features", l.features, "--sort", "worst", "--top", "4", "--out", out)
	var want struct {
		MAP          float64 `json:"mAP"`
		ValidQueries int     `json:"valid_queries"`
	}
	if err := json.Unmarshal([]byte(mustRun(t, "reid", "eval", "--features", l.features, "--json").stdout), &want); err != nil {
		t.Fatal(err)
	}
	if got.MAP == nil || *got.MAP != want.MAP || got.Valid != want.ValidQueries || got.Queries != 15 || len(got.Rankings) != 15 || got.Metric != reid.Cosine || got.Reranked {
		t.Errorf("%+v, want mAP %v", got, want)
	}
	if info, err := os.Stat(out); err != nil || info.Size() != got.Bytes || got.File != out {
		t.Errorf("%v: %d bytes", err, got.Bytes)
	}
	images, seen := 0, make(map[string]int)
	for i, q := range got.Rankings {
		if i > 0 && *q.AP < *got.Rankings[i-1].AP {
			t.Errorf("AP %v after %v", *q.AP, *got.Rankings[i-1].AP)
		}
		rank, person, camera := 0, retrieval.LabelOf(q.Query, "market1501").PID, retrieval.LabelOf(q.Query, "market1501").Camera
		images++
		for k, r := range q.Results {
			images++
			seen[r.Relation]++
			label := retrieval.LabelOf(r.Image, "market1501")
			expected := "wrong"
			switch {
			case label.PID == person && label.Camera == camera:
				expected = "same camera"
			case label.PID == person:
				expected = "right"
			}
			if r.Relation != expected || label.PID == reid.Junk || k > 0 && r.Distance < q.Results[k-1].Distance {
				t.Errorf("%s: %+v, want %s", q.Query, r, expected)
			}
			if expected != "same camera" {
				if rank++; r.Rank == nil || *r.Rank != rank {
					t.Errorf("%s: %+v is not at rank %d", q.Query, r, rank)
				}
			} else if r.Rank != nil {
				t.Errorf("%s: %+v takes a rank", q.Query, r)
			}
			if expected == "right" && *q.First > rank || q.Matches == 0 {
				t.Errorf("%s: first match at %d, seen at %d", q.Query, *q.First, rank)
			}
		}
		if rank != 4 {
			t.Errorf("%s: %d images of 4", q.Query, rank)
		}
	}
	if seen["right"] == 0 || seen["wrong"] == 0 || seen["same camera"] == 0 {
		t.Errorf("the test has no images of some kind: %v", seen)
	}
	if names := pictureNames(t, out); len(names) != images {
		t.Errorf("%d images on the page, want %d", len(names), images)
	}

	// The models and the data alone give the same page, whatever the threads.
	again := filepath.Join(t.TempDir(), "again.html")
	if fromModels := rankings(t, l.model, "--data", l.data, "--sort", "worst", "--top", "4", "--out", again, "--threads", "1"); *fromModels.MAP != want.MAP {
		t.Errorf("%v, want %v", *fromModels.MAP, want.MAP)
	}
	if !bytes.Equal(must(os.ReadFile(out)), must(os.ReadFile(again))) {
		t.Error("another page of the same models and data")
	}

	// A picture, re-ranked; the table names queries and file.
	picture := filepath.Join(t.TempDir(), "ranking.png")
	text := mustRun(t, "reid", "rank", "--features", l.features, "--rerank", "--limit", "2", "--out", picture).stdout
	for _, want := range []string{"QUERY", "FIRST MATCH", ".jpg", picture + ": 2 of 15 queries, ", "--limit"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if m, err := pixels.Decode(must(os.ReadFile(picture))); err != nil || m.Width < 1000 || m.Height < 500 {
		t.Errorf("%v: %dx%d", err, m.Width, m.Height)
	}
	if rankings(t, "--features", l.features, "--rerank", "--out", picture, "--limit", "1").Reranked != true {
		t.Error("not re-ranked")
	}
}

func TestReIDRankQueries(t *testing.T) {
	l := reidLook(t)
	out := filepath.Join(t.TempDir(), "ranking.html")
	names := must(fs.Glob(os.DirFS(l.data), "query/*.jpg"))
	// Two of the data's queries, by their names, with folder and without.
	got := rankings(t, "--features", l.features, "--out", out, "--query", names[4], filepath.Base(names[1]))
	if len(got.Rankings) != 2 || got.Rankings[0].Query != names[4] || got.Rankings[1].Query != names[1] || got.Rankings[0].AP == nil {
		t.Errorf("%+v", got.Rankings)
	}
	all := rankings(t, "--features", l.features, "--out", out, "--sort", "name")
	same := func(a, b retrieval.QueryRankingJSON) bool {
		return slices.EqualFunc(a.Results, b.Results, func(x, y retrieval.RankedResultJSON) bool {
			return x.Image == y.Image && x.Relation == y.Relation && max(x.Distance-y.Distance, y.Distance-x.Distance) < 1e-5
		})
	}
	if !same(got.Rankings[0], all.Rankings[4]) {
		t.Errorf("%+v, among all queries %+v", got.Rankings[0], all.Rankings[4])
	}

	// An image of one's own: of a name like the data's, and of another.
	dir := t.TempDir()
	data := must(os.ReadFile(filepath.Join(l.data, filepath.FromSlash(names[4]))))
	mine, named := filepath.Join(dir, "me.jpg"), filepath.Join(dir, filepath.Base(names[4]))
	writeFile(t, mine, data)
	writeFile(t, named, data)
	for _, form := range [][]string{{"--features", l.features, l.model}, {l.model, "--data", l.data}} {
		own := rankings(t, append(form, "--out", out, "--query", mine, named)...)
		if len(own.Rankings) != 2 || own.Valid != 1 {
			t.Fatalf("%+v", own)
		}
		if !same(own.Rankings[1], all.Rankings[4]) || own.Rankings[1].AP == nil {
			t.Errorf("%+v, want %+v", own.Rankings[1], all.Rankings[4])
		}
		for k, r := range own.Rankings[0].Results {
			if r.Relation != "unknown" || r.Rank == nil || *r.Rank != k+1 || own.Rankings[0].AP != nil {
				t.Errorf("%+v", r)
			}
		}
	}
	if own := rankings(t, "--features", l.features, l.model, "--out", out, "--query", mine); own.MAP != nil || own.Valid != 0 {
		t.Errorf("%+v", own)
	}
	if text := mustRun(t, "reid", "rank", "--features", l.features, l.model, "--out", out, "--query", mine).stdout; !strings.Contains(text, mine+"  -   -") || !strings.Contains(text, "1 of 1 query") {
		t.Errorf("%s", text)
	}

	refused(t, dml(t, "reid", "rank", "--features", l.features, "--out", out, "--query", mine), mine, "give the ONNX files")
	refused(t, dml(t, "reid", "rank", "--features", l.features, l.model, "--flip", "--out", out, "--query", mine), "flip: false, and true")
	writeFile(t, mine, data[:len(data)/2])
	refused(t, dml(t, "reid", "rank", "--features", l.features, l.model, "--out", out, "--query", mine), mine, "broken image")
	refused(t, dml(t, "reid", "rank", "--features", l.features, l.model, "--out", out, "--query", filepath.Join(dir, "none.jpg")), "none.jpg")
}

// TestReIDRankUndivided ranks every image of a folder against the others.
func TestReIDRankUndivided(t *testing.T) {
	l := reidLook(t)
	out := filepath.Join(t.TempDir(), "ranking.html")
	folder := filepath.Join(l.data, "bounding_box_train")
	images := must(os.ReadDir(folder))
	bare := t.TempDir()
	var list strings.Builder
	list.WriteString("path,pid,camid\n")
	for i, e := range images {
		name := fmt.Sprintf("image %d.jpg", i)
		writeFile(t, filepath.Join(bare, name), must(os.ReadFile(filepath.Join(folder, e.Name()))))
		list.WriteString(name + ",,\n")
	}
	writeFile(t, filepath.Join(bare, "list.csv"), []byte(list.String()))
	for data, valid := range map[string]int{folder: len(images), filepath.Join(bare, "list.csv"): 0} {
		got := rankings(t, l.model, "--data", data, "--out", out, "--top", "3")
		if got.Queries != len(images) || got.Valid != valid {
			t.Errorf("%s: %d queries, %d valid", data, got.Queries, got.Valid)
		}
		for _, q := range got.Rankings {
			ranks := 0
			for _, r := range q.Results {
				if r.Image == q.Query {
					t.Errorf("%s is found by itself", q.Query)
				}
				if r.Rank != nil {
					ranks++
				}
			}
			if ranks != 3 {
				t.Errorf("%s: %d images of 3", q.Query, ranks)
			}
		}
	}
}

func TestReIDRankBadInput(t *testing.T) {
	l := reidLook(t)
	out := filepath.Join(t.TempDir(), "ranking.html")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "--features F/, or ONNX files"},
		{[]string{l.model}, "--data"},
		{[]string{"--features", l.features, l.model}, "one place"},
		{[]string{"--features", l.features, "--flip"}, "--flip"},
		{[]string{"--features", l.features, "--batch", "3"}, "--batch"},
		{[]string{"--features", l.features, "stray.jpg"}, "stray.jpg"},
		{[]string{"--features", l.features, "--query", ""}, "--query is empty"},
		{[]string{"--features", l.features, "--out", "ranking.gif"}, ".html or .png"},
		{[]string{"--features", l.features, "--top", "0"}, "--top"},
		{[]string{"--features", l.features, "--limit", "-1"}, "--limit"},
		{[]string{"--features", l.features, "--sort", "odd"}, "worst, best, name or given"},
		{[]string{"--features", l.features, "--metric", "far"}, "cosine, euclidean or dot"},
	} {
		if r := dml(t, append([]string{"reid", "rank"}, tc.args...)...); r.code != exitUsage || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
			t.Errorf("%q: %+v, want %q", tc.args, r, tc.want)
		}
	}
	refused(t, dml(t, "reid", "rank", "--features", filepath.Join(l.data, "none"), "--out", out), "dml reid extract")
	refused(t, dml(t, "reid", "rank", "--features", l.features, "--out", out, "--data", filepath.Join(l.data, "none")), "--data", "none")

	// An image that is gone, one that is broken, and all of them moved.
	spoiled := filepath.Join(l.data, "query", must(os.ReadDir(filepath.Join(l.data, "query")))[0].Name())
	whole := must(os.ReadFile(spoiled))
	writeFile(t, spoiled, whole[:len(whole)/2])
	refused(t, dml(t, "reid", "rank", "--features", l.features, "--out", out), filepath.Base(spoiled), "broken image")
	if err := os.Remove(spoiled); err != nil {
		t.Fatal(err)
	}
	refused(t, dml(t, "reid", "rank", "--features", l.features, "--out", out), spoiled, "--data")
	writeFile(t, spoiled, whole)
	moved := l.data + " moved"
	if err := os.Rename(l.data, moved); err != nil {
		t.Fatal(err)
	}
	refused(t, dml(t, "reid", "rank", "--features", l.features, "--out", out), "walkers", "--data")
	if entries := must(os.ReadDir(filepath.Dir(out))); len(entries) != 0 {
		t.Errorf("left are %v", entries)
	}
	mustRun(t, "reid", "rank", "--features", l.features, "--data", moved, "--out", out)
	exists(t, out)
}
