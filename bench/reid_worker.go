package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// The tasks of re-identification; each is a role.
const (
	taskRank   = "reid-rank"   // ranking and metrics, of distances
	taskWhole  = "reid-whole"  // of features
	taskRerank = "reid-rerank" // of features, after re-ranking
)

// scores is what contenders find, in a file that each writes.
type scores struct {
	MAP   float64 `json:"mAP"`
	Rank1 float64 `json:"rank1"`
}

func (s scores) write(path string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func readScores(path string) (s scores, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

// serveReID is package reid at a task whose data are in a folder.
func serveReID(task, dir string, threads int, o *orders) error {
	opts := reid.Options{Workers: threads}
	about := "package reid, gonum"
	if m, err := onednn.OpenMultiplier(threads); err == nil {
		defer m.Close()
		opts.Multiplier, about = m, "package reid, oneDNN"
	}
	var evaluate func() (*reid.Result, error)
	labels := func(file string) (out []reid.Label, err error) {
		rows, err := features.ReadLabels(filepath.Join(dir, file))
		for _, r := range rows {
			out = append(out, r.Label)
		}
		return out, err
	}
	if task == taskRank {
		distances, err := features.ReadNPY(filepath.Join(dir, distancesFile))
		if err != nil {
			return err
		}
		query, err := labels(queryLabels)
		if err != nil {
			return err
		}
		gallery, err := labels(galleryLabels)
		if err != nil {
			return err
		}
		about = "package reid"
		evaluate = func() (*reid.Result, error) {
			return reid.EvaluateDistances(context.Background(), distances.Data, query, gallery, opts)
		}
	} else {
		set, err := features.Load(context.Background(), features.Source{Files: map[string]features.File{
			features.Query: {NPY: filepath.Join(dir, queryFile)}, features.Gallery: {NPY: filepath.Join(dir, galleryFile)},
		}}, features.LoadOptions{Labelled: true})
		if err != nil {
			return err
		}
		defer set.Close() // nothing is lost if this fails
		if task == taskRerank {
			opts.Rerank = new(reid.Rerank)
		}
		evaluate = func() (*reid.Result, error) {
			return reid.Evaluate(context.Background(), set.Query.Set, set.Gallery.Set, opts)
		}
	}
	if _, err := fmt.Fprintf(o.out, "0 %s\n", about); err != nil {
		return err
	}
	for {
		if err := o.next(); err != nil {
			return err
		}
		r, err := evaluate()
		if err != nil {
			return err
		}
		o.done()
		found := r.Scores
		if r.Rerank != nil {
			found = r.Rerank.Scores
		}
		if err := (scores{found.MAP, found.CMC[1]}).write(filepath.Join(dir, oursScores)); err != nil {
			return err
		}
	}
}
