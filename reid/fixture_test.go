package reid

import (
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/x448/float16"
)

// shared returns a folder of the developers' data, which is not part of the
// repository.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "shared", "data", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("skipped: the developers' data is not there: %v", err)
	}
	return dir
}

func loadFixture(t *testing.T, dir, part string) Set {
	t.Helper()
	bits, err := os.ReadFile(filepath.Join(dir, part+"_f16le.bin"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, part+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	s := Set{Name: part, Dim: 512}
	for ; len(bits) > 0; bits = bits[2:] {
		s.Features = append(s.Features, float16.Frombits(binary.LittleEndian.Uint16(bits)).Float32())
	}
	for _, row := range rows[1:] {
		pid, err1 := strconv.Atoi(row[1])
		camera, err2 := strconv.Atoi(row[2])
		if err1 != nil || err2 != nil {
			t.Fatal(row)
		}
		s.Labels = append(s.Labels, Label{Number(pid), Number(camera)})
	}
	return s
}

// expected are reference metrics of a fixture.
type expected struct {
	MAP         float64 `json:"mAP"`
	Trapezoidal float64 `json:"mAP_trapezoid"`
	Rank1       float64 `json:"rank1"`
	Rank5       float64 `json:"rank5"`
	Rank10      float64 `json:"rank10"`
	Rank20      float64 `json:"rank20"`
}

// TestFixtures evaluates features of a real network, whose metrics were found
// by other programs.
func TestFixtures(t *testing.T) {
	for _, name := range []string{"market_val100", "market_val100_junk"} {
		dir := filepath.Join(shared(t, "reid-eval"), name)
		text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Single expected  `json:"single_query"`
			Multi  *expected `json:"multi_query_result"`
			Wrong  float64   `json:"wrong_mAP_if_junk_not_ignored"`
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		query, gallery := loadFixture(t, dir, "query"), loadFixture(t, dir, "gallery")
		check := func(multi, double bool, want expected) {
			t.Helper()
			r, err := Evaluate(t.Context(), query, gallery, Options{Metric: Dot, MultiQuery: multi, Float64: double})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, multi query %v, float64 %v: mAP %.7f, trapezoidal %.7f, rank 1 %.7f, %d of %d valid",
				name, multi, double, r.MAP, r.MAPTrapezoidal, r.CMC[1], r.ValidQueries, r.Queries)
			tolerance := 1e-4
			if double {
				tolerance = 1e-6
			}
			got := expected{r.MAP, r.MAPTrapezoidal, r.CMC[1], r.CMC[5], r.CMC[10], r.CMC[20]}
			if !near(got.MAP, want.MAP, tolerance) || !near(got.Trapezoidal, want.Trapezoidal, tolerance) || !near(got.Rank1, want.Rank1, tolerance) ||
				!near(got.Rank5, want.Rank5, tolerance) || !near(got.Rank10, want.Rank10, tolerance) || !near(got.Rank20, want.Rank20, tolerance) {
				t.Errorf("%s, multi query %v, float64 %v: %+v, want %+v", name, multi, double, got, want)
			}
			if r.SkippedQueries != 1 || r.ValidQueries != len(query.Labels)-1 || near(r.MAP, file.Wrong, 1e-4) {
				t.Errorf("%s: %d valid, %d skipped, mAP %v", name, r.ValidQueries, r.SkippedQueries, r.MAP)
			}
		}
		for _, double := range []bool{false, true} {
			check(false, double, file.Single)
			if file.Multi != nil {
				check(true, double, *file.Multi)
			}
		}
	}
}

// TestFixtureRerank compares re-ranking of real features with dense matrices in
// float64, on a part: the dense way is slow.
func TestFixtureRerank(t *testing.T) {
	dir := filepath.Join(shared(t, "reid-eval"), "market_val100")
	query, gallery := loadFixture(t, dir, "query"), loadFixture(t, dir, "gallery")
	cut := func(s Set, n int) Set {
		return Set{Name: s.Name, Features: s.Features[:n*s.Dim], Dim: s.Dim, Labels: s.Labels[:n]}
	}
	query, gallery = cut(query, 60), cut(gallery, 200)
	want := slowRerank(vectors(query, gallery), 60, Rerank{})
	compareRows(t, "float64", rerankedRows(t, double(2), query, gallery, Dot, Rerank{}), want, 1e-9)
	compareRows(t, "float32", rerankedRows(t, single(Gonum{}), query, gallery, Dot, Rerank{}), want, 1e-5)
}
