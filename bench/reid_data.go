package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// The size of Market-1501. Its gallery has 13,115 images of people, the others
// are distractors, and junk: here distractors all, since torchreid leaves junk out
// when it reads a data set, and package reid would when it ranks.
const (
	reidQueries, reidGallery = 3368, 19732
	reidDistractors          = reidGallery - 13115
	reidPersons, reidCameras = 750, 6
)

// reidLabels are spread as in Market-1501 sorted by file name.
func reidLabels(rng *rand.Rand) (query, gallery []reid.Label) {
	for i := range reidQueries {
		query = append(query, reid.Label{PID: reid.Number(1 + i%reidPersons), Camera: reid.Number(i / reidPersons % reidCameras)})
	}
	for i := range reidGallery {
		l := reid.Label{PID: reid.Distractor, Camera: reid.Number(rng.IntN(reidCameras))}
		if i >= reidDistractors {
			l.PID = reid.Number(1 + (i-reidDistractors)*reidPersons/(reidGallery-reidDistractors))
		}
		gallery = append(gallery, l)
	}
	return query, gallery
}

// reidFeatures are random: a centre for each person, noise for each image, so
// much that people are found in part. Distractors are people of one image. Vectors have length 1.
func reidFeatures(rng *rand.Rand, labels []reid.Label, centres []float32, dim int) features.Matrix {
	noise := math.Sqrt(math.Sqrt(float64(dim))/3 - 1)
	m := features.Matrix{Data: make([]float32, len(labels)*dim), Rows: len(labels), Dim: dim}
	for i, l := range labels {
		row := m.Data[i*dim : (i+1)*dim]
		squares := 0.0
		for k := range row {
			centre := rng.NormFloat64()
			if person, _ := l.PID.Number(); person > 0 {
				centre = float64(centres[person*dim+k])
			}
			v := centre + noise*rng.NormFloat64()
			row[k], squares = float32(v), squares+v*v
		}
		for k := range row {
			row[k] /= float32(math.Sqrt(squares))
		}
	}
	return m
}

// The files of a task, in its folder.
const (
	queryFile, galleryFile, distancesFile = "query.npy", "gallery.npy", "distances.npy"
	queryLabels, galleryLabels            = "query.csv", "gallery.csv"
)

// writeReIDData writes features of so many numbers, or the distances that they
// give.
func writeReIDData(dir string, dim int, distances bool) error {
	rng := rand.New(rand.NewPCG(6, uint64(dim)))
	query, gallery := reidLabels(rng)
	centres := make([]float32, (reidPersons+1)*dim)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64())
	}
	q, g := reidFeatures(rng, query, centres, dim), reidFeatures(rng, gallery, centres, dim)
	if err := writeReIDLabels(filepath.Join(dir, queryLabels), query); err != nil {
		return err
	}
	if err := writeReIDLabels(filepath.Join(dir, galleryLabels), gallery); err != nil {
		return err
	}
	if !distances {
		if err := features.WriteNPY(filepath.Join(dir, queryFile), q); err != nil {
			return err
		}
		return features.WriteNPY(filepath.Join(dir, galleryFile), g)
	}
	d := features.Matrix{Data: make([]float32, q.Rows*g.Rows), Rows: q.Rows, Dim: g.Rows}
	if err := (reid.Gonum{Workers: runtime.NumCPU()}).MultiplyTransposed(d.Data, q.Data, g.Data, q.Rows, g.Rows, dim); err != nil {
		return err
	}
	for i, product := range d.Data {
		d.Data[i] = 1 - product
	}
	return features.WriteNPY(filepath.Join(dir, distancesFile), d)
}

func writeReIDLabels(path string, labels []reid.Label) error {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	rows := [][]string{{"name", "pid", "camid"}}
	for i, l := range labels {
		rows = append(rows, []string{fmt.Sprint(i), string(l.PID), string(l.Camera)})
	}
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
