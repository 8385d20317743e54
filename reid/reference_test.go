package reid

import (
	"math"
	"slices"
	"sort"
)

// The slow, obvious way, straight from the definitions.

// slowAP scores matches in rank order: whether each ranked image is one.
func slowAP(matches []bool) (rectangular, trapezoidal, inp float64, first int) {
	n, found := 0.0, 0.0
	for _, m := range matches {
		if m {
			n++
		}
	}
	for i, m := range matches {
		if !m {
			continue
		}
		before := 1.0
		if i > 0 {
			before = found / float64(i)
		}
		found++
		if found == 1 {
			first = i + 1
		}
		precision := found / float64(i+1)
		rectangular += precision / n
		trapezoidal += (precision + before) / 2 / n
		if found == n {
			inp = precision
		}
	}
	return
}

type slowScores struct {
	results []QueryResult
	cameras map[[2]ID][]float64
	good    []float64
	wrong   []float64
}

// slowRank evaluates float64 distances by sorting whole rows.
func slowRank(distances [][]float64, query, gallery []Label, zeroIsIdentity bool) slowScores {
	s := slowScores{cameras: make(map[[2]ID][]float64)}
	for q, l := range query {
		person := l.PID.Person() || l.PID == "0" && zeroIsIdentity
		order := make([]int, len(gallery))
		for j := range order {
			order[j] = j
		}
		sort.SliceStable(order, func(a, b int) bool { return distances[q][order[a]] < distances[q][order[b]] })
		order = slices.DeleteFunc(order, func(j int) bool {
			g := gallery[j]
			return g.PID == Junk || person && g.PID == l.PID && g.Camera == l.Camera
		})
		var matches []bool
		byCamera := make(map[ID][]bool)
		for _, j := range order {
			match := person && gallery[j].PID == l.PID
			matches = append(matches, match)
			if match {
				byCamera[gallery[j].Camera] = nil
				s.good = append(s.good, distances[q][j])
			} else if person {
				s.wrong = append(s.wrong, distances[q][j])
			}
		}
		var r QueryResult
		if len(byCamera) > 0 {
			r.Valid = true
			r.AP, r.APTrapezoidal, r.INP, r.First = slowAP(matches)
			for _, m := range matches {
				if m {
					r.Matches++
				}
			}
		}
		for camera := range byCamera {
			var of []bool
			for i, j := range order {
				if !matches[i] || gallery[j].Camera == camera {
					of = append(of, matches[i])
				}
			}
			ap, _, _, _ := slowAP(of)
			key := [2]ID{l.Camera, camera}
			s.cameras[key] = append(s.cameras[key], ap)
		}
		for _, j := range order[:min(3, len(order))] {
			r.Best = append(r.Best, Match{Gallery: j, Distance: distances[q][j], Good: person && gallery[j].PID == l.PID})
		}
		s.results = append(s.results, r)
	}
	return s
}

// tpr is the ROC at a false positive rate, by sorting everything.
func (s slowScores) tpr(rate float64) float64 {
	wrong := slices.Sorted(slices.Values(s.wrong))
	threshold := wrong[int(rate*float64(len(wrong)))]
	n := 0
	for _, d := range s.good {
		if d < threshold {
			n++
		}
	}
	return float64(n) / float64(len(s.good))
}

func slowDistances(query, gallery Set, metric Metric) [][]float64 {
	out := make([][]float64, len(query.Labels))
	for q := range out {
		for g := range gallery.Labels {
			var dot, qq, gg float64
			for k, x := range query.row(q) {
				y := gallery.row(g)[k]
				dot += float64(x) * float64(y)
				qq += float64(x) * float64(x)
				gg += float64(y) * float64(y)
			}
			d := 1 - dot
			switch {
			case metric == Euclidean:
				d = math.Sqrt(max(0, qq+gg-2*dot))
			case metric == Cosine && qq*gg == 0:
				d = 1
			case metric == Cosine:
				d = 1 - dot/math.Sqrt(qq*gg)
			}
			out[q] = append(out[q], d)
		}
	}
	return out
}

// slowRerank is k-reciprocal re-ranking with dense matrices, step by step as in
// the paper's code. x are vectors, the queries first.
func slowRerank(x [][]float64, queries int, r Rerank) [][]float64 {
	r = r.withDefaults()
	n := len(x)
	original, rank := make([][]float64, n), make([][]int, n)
	for i := range n {
		largest := 0.0
		for j := range n {
			d := 0.0
			for k := range x[i] {
				d += (x[i][k] - x[j][k]) * (x[i][k] - x[j][k])
			}
			original[i] = append(original[i], d)
			rank[i] = append(rank[i], j)
			largest = max(largest, d)
		}
		for j := range n {
			original[i][j] /= largest
		}
		sort.SliceStable(rank[i], func(a, b int) bool { return original[i][rank[i][a]] < original[i][rank[i][b]] })
	}
	nearest := func(i, m int) []int { return rank[i][:min(m, n)] }
	mutual := func(i, m int) (out []int) {
		for _, c := range nearest(i, m) {
			if slices.Contains(nearest(c, m), i) {
				out = append(out, c)
			}
		}
		return
	}
	v := make([][]float64, n)
	for i := range n {
		core := mutual(i, r.K1+1)
		set := slices.Clone(core)
		for _, c := range core {
			candidate := mutual(c, int(math.RoundToEven(float64(r.K1)/2))+1)
			shared := 0
			for _, j := range candidate {
				if slices.Contains(core, j) {
					shared++
				}
			}
			if float64(shared) > 2./3*float64(len(candidate)) {
				set = append(set, candidate...)
			}
		}
		v[i] = make([]float64, n)
		total := 0.0
		for _, j := range set {
			v[i][j] = math.Exp(-original[i][j])
		}
		for _, w := range v[i] {
			total += w
		}
		for j := range v[i] {
			v[i][j] /= total
		}
	}
	if r.K2 != 1 {
		smooth := make([][]float64, n)
		for i := range n {
			smooth[i] = make([]float64, n)
			near := nearest(i, r.K2)
			for _, c := range near {
				for j := range n {
					smooth[i][j] += v[c][j] / float64(len(near))
				}
			}
		}
		v = smooth
	}
	out := make([][]float64, queries)
	for i := range out {
		for g := queries; g < n; g++ {
			t := 0.0
			for j := range n {
				t += min(v[i][j], v[g][j])
			}
			out[i] = append(out[i], (1-r.Lambda)*(1-t/(2-t))+r.Lambda*original[i][g])
		}
	}
	return out
}
