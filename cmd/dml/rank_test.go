package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lookedAt is a drawn data set, a model and features of one by the other.
type lookedAt struct{ data, model, features string }

// look extracts the features of synthetic pedestrians by a small student.
func look(t *testing.T) lookedAt {
	t.Helper()
	needRuntime(t)
	l := lookedAt{set(t, "walkers", "walkers"), set(t, "trial", "runs", "trial", "onnx", "second.onnx"), filepath.Join(t.TempDir(), "features")}
	mustRun(t, "reid", "extract", l.model, "--data", l.data, "--out", l.features, "--quiet")
	return l
}

// rankings is the JSON of dml reid rank, as documented.
type rankings struct {
	File        string         `json:"file"`
	Bytes       int64          `json:"bytes"`
	Fingerprint string         `json:"fingerprint"`
	Metric      string         `json:"metric"`
	Reranked    bool           `json:"reranked"`
	Queries     int            `json:"queries"`
	Valid       int            `json:"valid_queries"`
	MAP         *float64       `json:"mAP"`
	Rankings    []queryRanking `json:"rankings"`
}

type queryRanking struct {
	Query   string         `json:"query"`
	AP      *float64       `json:"AP"`
	First   *int           `json:"first_match"`
	Matches int            `json:"matches"`
	Results []rankedResult `json:"results"`
}

type rankedResult struct {
	Image    string  `json:"image"`
	Rank     *int    `json:"rank"`
	Distance float64 `json:"distance"`
	Relation string  `json:"relation"`
}

// same compares results, but for the last digits of distances.
func (q queryRanking) same(other queryRanking) bool {
	return slices.EqualFunc(q.Results, other.Results, func(a, b rankedResult) bool {
		return a.Image == b.Image && a.Relation == b.Relation && math.Abs(a.Distance-b.Distance) < 1e-5
	})
}

// rank runs dml reid rank and reads what it prints for programs.
func rank(t *testing.T, args ...string) (r rankings) {
	t.Helper()
	text := mustRun(t, append([]string{"reid", "rank", "--json", "--quiet"}, args...)...).stdout
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return r
}

// labels reads who is on an image, and the camera, from its name.
func labels(t *testing.T, name string) (pid, camera int) {
	t.Helper()
	if _, err := fmt.Sscanf(filepath.Base(name), "%d_c%d", &pid, &camera); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return pid, camera
}

func TestRank(t *testing.T) {
	l := look(t)
	out := filepath.Join(t.TempDir(), "ranking.html")
	got := rank(t, "--features", l.features, "--sort", "worst", "--top", "4", "--out", out)
	var want struct {
		MAP          float64 `json:"mAP"`
		ValidQueries int     `json:"valid_queries"`
	}
	if err := json.Unmarshal([]byte(mustRun(t, "reid", "eval", "--features", l.features, "--json").stdout), &want); err != nil {
		t.Fatal(err)
	}
	if got.MAP == nil || *got.MAP != want.MAP || got.Valid != want.ValidQueries || got.Queries != 15 || len(got.Rankings) != 15 || got.Metric != "cosine" || got.Reranked {
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
		identity, camera := labels(t, q.Query)
		rank := 0
		images++
		for k, r := range q.Results {
			images++
			seen[r.Relation]++
			pid, cam := labels(t, r.Image)
			expected := "wrong"
			switch {
			case pid == identity && cam == camera:
				expected = "same camera"
			case pid == identity:
				expected = "right"
			}
			if r.Relation != expected || pid == -1 || k > 0 && r.Distance < q.Results[k-1].Distance {
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
	if n := bytes.Count(must(os.ReadFile(out)), []byte(` alt="`)); n != images {
		t.Errorf("%d images on the page, want %d", n, images)
	}

	// The models and the data alone give the same page, whatever the threads.
	again := filepath.Join(t.TempDir(), "again.html")
	if fromModels := rank(t, l.model, "--data", l.data, "--sort", "worst", "--top", "4", "--out", again, "--threads", "1"); *fromModels.MAP != want.MAP {
		t.Errorf("%v, want %v", *fromModels.MAP, want.MAP)
	}
	if !bytes.Equal(must(os.ReadFile(out)), must(os.ReadFile(again))) {
		t.Error("another page of the same models and data")
	}
	if !rank(t, "--features", l.features, "--rerank", "--out", out, "--limit", "1").Reranked {
		t.Error("not re-ranked")
	}
}

func TestRankQueries(t *testing.T) {
	l := look(t)
	out := filepath.Join(t.TempDir(), "ranking.html")
	var names []string
	for _, e := range must(os.ReadDir(filepath.Join(l.data, "query"))) {
		names = append(names, "query/"+e.Name())
	}
	// Two of the data's queries, by their names, with folder and without.
	got := rank(t, "--features", l.features, "--out", out, "--query", names[4], filepath.Base(names[1]))
	if len(got.Rankings) != 2 || got.Rankings[0].Query != names[4] || got.Rankings[1].Query != names[1] || got.Rankings[0].AP == nil {
		t.Errorf("%+v", got.Rankings)
	}
	all := rank(t, "--features", l.features, "--out", out, "--sort", "name")
	if !got.Rankings[0].same(all.Rankings[4]) {
		t.Errorf("%+v, among all queries %+v", got.Rankings[0], all.Rankings[4])
	}

	// A pair is as far apart as dml reid verify says.
	first := all.Rankings[4].Results[0]
	var pair struct{ Distance float64 }
	text := mustRun(t, "reid", "verify", l.model, filepath.Join(l.data, names[4]), filepath.Join(l.data, first.Image), "--json").stdout
	if err := json.Unmarshal([]byte(text), &pair); err != nil || math.Abs(pair.Distance-first.Distance) > 1e-5 {
		t.Errorf("%v, %v, in the ranking %v", err, pair.Distance, first.Distance)
	}

	// An image of your own: of a name like the data's, and of another.
	dir := t.TempDir()
	data := must(os.ReadFile(filepath.Join(l.data, filepath.FromSlash(names[4]))))
	mine, named := filepath.Join(dir, "me.jpg"), filepath.Join(dir, filepath.Base(names[4]))
	writeFile(t, mine, data)
	writeFile(t, named, data)
	for _, form := range [][]string{{"--features", l.features, l.model}, {l.model, "--data", l.data}} {
		own := rank(t, append(form, "--out", out, "--query", mine, named)...)
		if len(own.Rankings) != 2 || own.Valid != 1 {
			t.Fatalf("%+v", own)
		}
		if !own.Rankings[1].same(all.Rankings[4]) || own.Rankings[1].AP == nil {
			t.Errorf("%+v, want %+v", own.Rankings[1], all.Rankings[4])
		}
		for k, r := range own.Rankings[0].Results {
			if r.Relation != "unknown" || r.Rank == nil || *r.Rank != k+1 || own.Rankings[0].AP != nil {
				t.Errorf("%+v", r)
			}
		}
	}
	if own := rank(t, "--features", l.features, l.model, "--out", out, "--query", mine); own.MAP != nil || own.Valid != 0 {
		t.Errorf("%+v", own)
	}
	if text := mustRun(t, "reid", "rank", "--features", l.features, l.model, "--out", out, "--query", mine).stdout; !strings.Contains(text, mine+"  -   -") || !strings.Contains(text, "1 of 1 query") {
		t.Errorf("%s", text)
	}
}

// TestRankUndivided ranks every image of a folder against the others.
func TestRankUndivided(t *testing.T) {
	l := look(t)
	out := filepath.Join(t.TempDir(), "ranking.html")
	folder := filepath.Join(l.data, "bounding_box_train")
	images := must(os.ReadDir(folder))
	bare, list := t.TempDir(), "path,pid,camid\n"
	for i, e := range images {
		name := fmt.Sprintf("image %d.jpg", i)
		writeFile(t, filepath.Join(bare, name), must(os.ReadFile(filepath.Join(folder, e.Name()))))
		list += name + ",,\n"
	}
	writeFile(t, filepath.Join(bare, "list.csv"), []byte(list))
	for data, valid := range map[string]int{folder: len(images), filepath.Join(bare, "list.csv"): 0} {
		got := rank(t, l.model, "--data", data, "--out", out, "--top", "3")
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
