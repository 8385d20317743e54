package retrieval

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// printReID prints scores for people.
func printReID(w io.Writer, r *reid.Result, cameras bool) error {
	protocol := "single query"
	if r.Protocol == reid.MultiQuery {
		protocol = "multiple queries, pooled from " + r.Pooling
	}
	if r.Expand > 0 {
		protocol += fmt.Sprintf(", expanded by %d", r.Expand)
	}
	if _, err := fmt.Fprintf(w, "%s distance, %s\n%s of %s queries valid; skipped %s without a match by another camera\ngallery of %s: %s junk, %s\n\n",
		r.Metric, protocol, console.Grouped(r.ValidQueries), console.Grouped(r.Queries), console.Grouped(r.SkippedQueries),
		console.Count(r.Gallery, "image"), console.Grouped(r.Junk), console.Count(r.Distractors, "distractor")); err != nil {
		return err
	}
	columns := []reid.Scores{r.Scores}
	head := []string{"METRIC", "RANKED"}
	if r.Rerank != nil {
		columns = append(columns, r.Rerank.Scores)
		head = append(head, "RE-RANKED")
	}
	rows := [][]string{head}
	add := func(name string, value func(reid.Scores) float64) {
		row := []string{name}
		for _, s := range columns {
			row = append(row, console.Percent(value(s)))
		}
		rows = append(rows, row)
	}
	add("mAP (rectangles)", func(s reid.Scores) float64 { return s.MAP })
	add("mAP (trapezoids)", func(s reid.Scores) float64 { return s.MAPTrapezoidal })
	add("mINP", func(s reid.Scores) float64 { return s.MINP })
	for _, k := range sortedRanks(r.CMC) {
		add(fmt.Sprintf("rank %d", k), func(s reid.Scores) float64 { return s.CMC[k] })
	}
	for i, p := range r.ROC {
		add(fmt.Sprintf("TPR at FPR %g", p.FPR), func(s reid.Scores) float64 { return s.ROC[i].TPR })
	}
	if err := console.Table(w, rows); err != nil || !cameras {
		return err
	}
	if _, err := fmt.Fprintln(w, "\nmAP (rectangles) of queries by a camera, down, in the gallery of another, across:"); err != nil {
		return err
	}
	return console.Table(w, cameraTable(r.Cameras))
}

// cameraTable has a row for each camera of queries, a column for each of the
// gallery.
func cameraTable(pairs []reid.CameraPair) [][]string {
	var queries, gallery []reid.ID
	cells := make(map[[2]reid.ID]string)
	for _, p := range pairs {
		queries, gallery = append(queries, p.Query), append(gallery, p.Gallery)
		cells[[2]reid.ID{p.Query, p.Gallery}] = console.Percent(p.MAP)
	}
	slices.SortFunc(queries, reid.ID.Compare)
	slices.SortFunc(gallery, reid.ID.Compare)
	gallery = slices.Compact(gallery)
	head := []string{"CAMERA"}
	for _, g := range gallery {
		head = append(head, string(g))
	}
	rows := [][]string{head}
	for _, q := range slices.Compact(queries) {
		row := []string{string(q)}
		for _, g := range gallery {
			row = append(row, cmp.Or(cells[[2]reid.ID{q, g}], "-"))
		}
		rows = append(rows, row)
	}
	return rows
}

func sortedRanks(cmc map[int]float64) []int {
	var ranks []int
	for k := range cmc {
		ranks = append(ranks, k)
	}
	slices.Sort(ranks)
	return ranks
}

// writePerQuery writes a row for each query: its scores, those after re-ranking
// if there are any, and the nearest images of the last ranking. The file is
// whole or absent.
func writePerQuery(path string, r *reid.Result, query, gallery []features.Row) error {
	head := []string{"name", "pid", "camid", "valid", "matches", "first_match", "AP", "AP_trapezoidal", "INP"}
	last := r.Scores
	if r.Rerank != nil {
		head = append(head, "rerank_first_match", "rerank_AP", "rerank_AP_trapezoidal", "rerank_INP")
		last = r.Rerank.Scores
	}
	nearest := 0
	for _, q := range last.PerQuery {
		nearest = max(nearest, len(q.Best))
	}
	for k := range nearest {
		head = append(head, fmt.Sprintf("nearest_%d", k+1), fmt.Sprintf("distance_%d", k+1), fmt.Sprintf("match_%d", k+1))
	}
	var text bytes.Buffer
	out := csv.NewWriter(&text)
	rows := [][]string{head}
	for i, q := range query {
		s := r.PerQuery[i]
		row := []string{q.Name, string(q.PID), string(q.Camera), strconv.FormatBool(s.Valid), strconv.Itoa(s.Matches)}
		row = append(row, queryScores(s)...)
		if r.Rerank != nil {
			row = append(row, queryScores(r.Rerank.PerQuery[i])...)
		}
		for _, m := range last.PerQuery[i].Best {
			row = append(row, gallery[m.Gallery].Name, fmt.Sprintf("%.6g", m.Distance), strconv.FormatBool(m.Good))
		}
		rows = append(rows, append(row, make([]string, len(head)-len(row))...))
	}
	if err := out.WriteAll(rows); err != nil {
		return err
	}
	return files.WriteFile(path, text.Bytes(), 0o644)
}

// queryScores are cells, empty for a query that is not valid.
func queryScores(q reid.QueryResult) []string {
	if !q.Valid {
		return make([]string, 4)
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	return []string{strconv.Itoa(q.First), number(q.AP), number(q.APTrapezoidal), number(q.INP)}
}
