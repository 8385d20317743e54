package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// personFolder draws persons in Market-1501's layout: the clothes tell them
// apart, the light tells the cameras apart. Persons 1 to 4 are trained on, 5 to
// 8 are looked for; the gallery has junk and a distractor.
func personFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	draw := func(folder, pid string, person, camera, shot int) {
		img := image.NewNRGBA(image.Rect(0, 0, 8, 16))
		for y := range 16 {
			for x := range 8 {
				part := person // of the colours: upper and lower half
				if y >= 8 {
					part = person * 3
				}
				v := func(k int) uint8 { return uint8(min(255, (part*(k*37+53)%200)+camera*15+(x*7+y*5+shot*11)%13)) }
				img.SetNRGBA(x, y, color.NRGBA{v(1), v(2), v(3), 255})
			}
		}
		var buf bytes.Buffer
		if err := png.Encode(&buf, img); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, folder, fmt.Sprintf("%s_c%ds1_%06d_%02d.png", pid, camera, shot, person)), buf.Bytes())
	}
	for person := 1; person <= 8; person++ {
		pid := fmt.Sprintf("%04d", person)
		for camera := 1; camera <= 3; camera++ {
			for shot := range 3 {
				switch {
				case person <= 4:
					draw("bounding_box_train", pid, person, camera, shot)
				case shot == 0:
					draw("query", pid, person, camera, shot)
				default:
					draw("bounding_box_test", pid, person, camera, shot)
				}
				if person > 4 {
					draw("gt_bbox", pid, person, camera, shot)
				}
			}
		}
	}
	draw("bounding_box_test", "-1", 9, 1, 7)
	draw("bounding_box_test", "0000", 11, 2, 7)
	return dir
}

// personStudents are two students that were trained for a moment on personFolder,
// and exported.
func personStudents(t *testing.T) []string {
	t.Helper()
	run := filepath.Join(copyOf(t, "personStudents", func(out string) {
		mustRun(t, small(personFolder(t), out, "--quiet", "--epochs", "2", "--size", "16x8")...)
		mustRun(t, "export", filepath.Join(out, "trial"))
	}), "trial")
	return []string{filepath.Join(run, "onnx", "convnet-1.onnx"), filepath.Join(run, "onnx", "second.onnx")}
}

// scores is the JSON of dml reid eval, as documented.
type scores struct {
	Protocol    string             `json:"protocol"`
	Pooling     string             `json:"pooling"`
	Metric      string             `json:"metric"`
	Queries     int                `json:"queries"`
	Valid       int                `json:"valid_queries"`
	Gallery     int                `json:"gallery"`
	Junk        int                `json:"junk"`
	Distractors int                `json:"distractors"`
	MAP         float64            `json:"mAP"`
	Trapezoidal float64            `json:"mAP_trapezoidal"`
	MINP        float64            `json:"mINP"`
	CMC         map[string]float64 `json:"cmc"`
	Rerank      *scores            `json:"rerank"`
	MultiQuery  *scores            `json:"multi_query"`
	Fingerprint string             `json:"fingerprint"`
	Skipped     []features.Skipped `json:"skipped"`
}

func parseScores(t *testing.T, text string) (s scores) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return s
}

// TestReIDRoad goes the whole road: students that were trained here make
// features, alone and together, which are evaluated.
func TestReIDRoad(t *testing.T) {
	needRuntime(t)
	data := personFolder(t)
	models := personStudents(t)
	dir := filepath.Join(t.TempDir(), "F")
	r := mustRun(t, "reid", "extract", models[0], "--data", data, "--out", dir)
	for _, want := range []string{filepath.Join(dir, "query.npy"), "12 x ", "26 ", "36 ", "fingerprint "} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	m := must(features.ReadManifest(dir))
	if m.Pooling != "" || m.Flip || m.Preprocessing.Height != 16 || m.Preprocessing.Width != 8 || len(m.Models) != 1 || m.Models[0].File != "convnet-1.onnx" {
		t.Errorf("%+v", m)
	}
	if set, _, err := features.LoadPart(dir, m, features.Gallery); err != nil || !unitRows(set) {
		t.Errorf("the gallery is not of length 1: %v", err)
	}
	one := parseScores(t, mustRun(t, "reid", "eval", "--features", dir, "--json", "--rerank", "--k1", "4", "--k2", "2").stdout)
	if one.Protocol != "single_query" || one.Metric != "cosine" || one.Queries != 12 || one.Valid != 12 || one.Gallery != 26 || one.Junk != 1 || one.Distractors != 1 ||
		one.Fingerprint != m.Fingerprint() || one.Rerank == nil || !(one.MAP > .3 && one.MAP <= 1) || !(one.Trapezoidal > .3) || len(one.CMC) != 4 || one.Skipped != nil {
		t.Errorf("%+v", one)
	}
	if q := one.MultiQuery; q == nil || q.Protocol != "multi_query" || q.Pooling != "multi_query" || q.Queries != 12 || !(q.MAP > .3) || q.MultiQuery != nil {
		t.Errorf("%+v", one.MultiQuery)
	}
	multi := parseScores(t, mustRun(t, "reid", "eval", "--features", dir, "--json", "--multi-query").stdout)
	if multi.Protocol != "multi_query" || multi.MultiQuery != nil || multi.MAP != one.MultiQuery.MAP {
		t.Errorf("%+v", multi)
	}
	table := mustRun(t, "reid", "eval", "--features", dir).stdout
	for _, want := range []string{"single query", "multiple queries, pooled from multi_query", console.Percent(one.MAP), console.Percent(multi.MAP)} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	// The bare files of the folder give the same, and so does the model itself.
	bare := parseScores(t, mustRun(t, "reid", "eval", "--json", "--query", filepath.Join(dir, "query.npy"), "--query-labels", filepath.Join(dir, "query.csv"),
		"--gallery", filepath.Join(dir, "gallery.npy"), "--gallery-labels", filepath.Join(dir, "gallery.csv")).stdout)
	direct := parseScores(t, mustRun(t, "reid", "eval", models[0], "--data", data, "--json", "--quiet").stdout)
	if bare.MAP != one.MAP || direct.MAP != one.MAP || direct.MultiQuery == nil || direct.MultiQuery.MAP != multi.MAP || direct.Fingerprint != one.Fingerprint {
		t.Errorf("mAP %v of bare files, %v of the model, want %v", bare.MAP, direct.MAP, one.MAP)
	}

	both := filepath.Join(t.TempDir(), "cohort")
	cohort := append([]string{"reid", "extract", "--data", data, "--flip", "--quiet", "--json", "--out", both}, models...)
	r = mustRun(t, cohort...)
	joint := must(features.ReadManifest(both))
	if !joint.Flip || joint.Dim != 2*m.Dim || len(joint.Models) != 2 || joint.Fingerprint() == m.Fingerprint() || !strings.Contains(r.stdout, `"fingerprint": "`+joint.Fingerprint()) || r.stderr != "" {
		t.Errorf("%+v, %s", joint, r.stderr)
	}
	if set, _, err := features.LoadPart(both, joint, features.Query); err != nil || !unitRows(set) {
		t.Errorf("the cohort's queries are not of length 1: %v", err)
	}
	if s := parseScores(t, mustRun(t, "reid", "eval", "--features", both, "--json").stdout); !(s.MAP > .3) {
		t.Errorf("%+v", s)
	}
	refused(t, dml(t, append(slices.Clone(cohort), "--flip=false")...), both, "flip: true, and false")
	refused(t, dml(t, "reid", "extract", models[0], "--data", data, "--out", both, "--flip"), "models: 2, and 1")
	if again := mustRun(t, cohort...); again.stdout != r.stdout {
		t.Errorf("again: %s", again.stdout)
	}
}

// unitRows tells whether all features have length 1.
func unitRows(s reid.Set) bool {
	for row := range slices.Chunk(s.Features, s.Dim) {
		var sum float64
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		if math.Abs(sum-1) > 1e-5 {
			return false
		}
	}
	return true
}

// TestReIDExtractBroken: images that cannot be read, strictly and not; what was
// stopped goes on.
func TestReIDExtractBroken(t *testing.T) {
	needRuntime(t)
	data := personFolder(t)
	model := personStudents(t)[0]
	const broken = "bounding_box_test/0006_c2s1_000001_06.png"
	writeFile(t, filepath.Join(data, broken), []byte("no image"))
	whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	args := []string{"reid", "extract", model, "--data", data, "--batch", "3", "--out"}
	r := mustRun(t, append(args, whole)...)
	if !strings.Contains(r.stderr, "skipped 1 image that cannot be read") || !strings.Contains(r.stderr, broken+": not a JPEG or PNG image") || !strings.Contains(r.stdout, "25 x ") {
		t.Errorf("%+v", r)
	}
	if s := parseScores(t, mustRun(t, "reid", "eval", "--features", whole, "--json").stdout); len(s.Skipped) != 1 || s.Gallery != 25 {
		t.Errorf("%+v", s)
	}
	refused(t, dml(t, append(args, parts, "--strict", "--quiet")...), broken, "unreadable image")
	refused(t, dml(t, "reid", "eval", "--features", parts), parts, "interrupted")
	refused(t, dml(t, "reid", "eval", model, "--data", data, "--strict", "--quiet"), broken)
	refused(t, dml(t, append(args, parts, "--flip")...), "flip: false, and true", ".partial")
	r = mustRun(t, append(args, parts)...)
	if !strings.Contains(r.stderr, "going on after") {
		t.Errorf("%s", r.stderr)
	}
	for _, name := range []string{"query.npy", "query.csv", "gallery.npy", "gallery.csv", "multi_query.npy", "multi_query.csv", "features.json"} {
		a, errA := os.ReadFile(filepath.Join(whole, name))
		b, errB := os.ReadFile(filepath.Join(parts, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs (%v, %v)", name, errA, errB)
		}
	}
	if entries := must(os.ReadDir(parts)); len(entries) != 7 {
		t.Errorf("%v", entries)
	}
}

// TestReIDLists: lists without queries, of unknown persons, and of tracks.
func TestReIDLists(t *testing.T) {
	needRuntime(t)
	data := personFolder(t)
	model := personStudents(t)[0]
	list := filepath.Join(data, "list.csv")
	lines := "path,pid,camid,track\n"
	for person := 5; person <= 8; person++ {
		for camera := 1; camera <= 3; camera++ {
			for shot := range 3 {
				lines += fmt.Sprintf("gt_bbox/%04d_c%ds1_%06d_%02d.png,%d,%d,t%d\n", person, camera, shot, person, person, camera, shot/2)
			}
		}
	}
	writeFile(t, list, []byte(lines))
	r := mustRun(t, "reid", "eval", model, "--data", list, "--json", "--quiet")
	if s := parseScores(t, r.stdout); s.Queries != 36 || s.Valid != 36 || s.Gallery != 36 || s.MultiQuery != nil || !strings.Contains(r.stderr, "every image is one") {
		t.Errorf("%+v, %s", s, r.stderr)
	}
	r = mustRun(t, "reid", "eval", model, "--data", list, "--pool", "track", "--json", "--quiet")
	if s := parseScores(t, r.stdout); s.Queries != 24 || s.Gallery != 24 || !(s.MAP > .3) {
		t.Errorf("%+v", s)
	}
	writeFile(t, list, []byte("path,pid,camid,split\ngt_bbox/0005_c1s1_000000_05.png,,,gallery\ngt_bbox/0005_c2s1_000000_05.png,5,2,query\n"))
	dir := filepath.Join(t.TempDir(), "F")
	mustRun(t, "reid", "extract", model, "--data", list, "--out", dir, "--quiet")
	if text := string(must(os.ReadFile(filepath.Join(dir, "gallery.csv")))); text != "name,pid,camid\ngt_bbox/0005_c1s1_000000_05.png,,\n" {
		t.Errorf("%q", text)
	}
	refused(t, dml(t, "reid", "eval", "--features", dir), "gallery", "row 0", "identity is not known")
	writeFile(t, list, []byte("path,pid,camid,split\ngt_bbox/0005_c1s1_000000_05.png,5,1,gallery\n"))
	refused(t, dml(t, "reid", "eval", model, "--data", list, "--quiet"), "query")
	writeFile(t, list, []byte("path,pid,camid,split\ngt_bbox/0005_c1s1_000000_05.png,6,1,gallery\ngt_bbox/0005_c2s1_000000_05.png,5,2,query\n"))
	refused(t, dml(t, "reid", "eval", model, "--data", list, "--quiet"), "no query has a match in the gallery")
}

func TestReIDExtractBadInput(t *testing.T) {
	needRuntime(t)
	data := personFolder(t)
	model := personStudents(t)[0]
	out := filepath.Join(t.TempDir(), "F")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"extract", "--data", data, "--out", out}, "at least one ONNX file"},
		{[]string{"extract", model, "--out", out}, "--data"},
		{[]string{"extract", model, "--data", data}, "--out"},
		{[]string{"extract", model, "--data", data, "--out", out, "--pool", "person"}, "--pool"},
		{[]string{"extract", model, "--data", data, "--out", out, "--batch", "0"}, "--batch"},
		{[]string{"extract", model, "--data", data, "--out", out, "--threads", "-1"}, "--threads"},
		{[]string{"extract", model, "--data", data, "--out", out, "--pattern", "("}, "--pattern"},
		{[]string{"extract", model, "--data", data, "--out", out, "--preprocess", "nonesuch"}, "--preprocess"},
		{[]string{"eval", model}, "--data"},
		{[]string{"eval", model, "--data", data, "--features", out}, "from one place"},
		{[]string{"eval", "--query", "q.npy", "--features", out}, "from one place"},
		{[]string{"eval", "--features", out, "--flip"}, "--flip"},
		{[]string{"eval", "--features", out, "--data", data}, "--data"},
	} {
		if r := dml(t, append([]string{"reid"}, tc.args...)...); r.code != exitUsage || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
			t.Errorf("%q: %+v, want %q", tc.args, r, tc.want)
		}
	}
	extract := func(data string, more ...string) result {
		return dml(t, append([]string{"reid", "extract", model, "--data", data, "--out", out, "--quiet"}, more...)...)
	}
	refused(t, extract(filepath.Join(data, "none")), "none")
	refused(t, extract(t.TempDir()), "no images: it holds no .jpg")
	alone := filepath.Join(t.TempDir(), "one.csv")
	writeFile(t, alone, []byte("path,pid,camid\n"+filepath.Join(data, "query", "0005_c1s1_000000_05.png")+",5,1\n"))
	if r := dml(t, "reid", "eval", model, "--data", alone, "--quiet"); r.code != exitFailure || !strings.Contains(r.stderr, "the gallery part of "+alone) || strings.Contains(r.stderr, ".npy") {
		t.Errorf("%+v", r) // the features that were made are gone, and cannot be looked at
	}
	refused(t, extract(data, "--pattern", "pku-reid"), "pku-reid", ".png")
	refused(t, extract(data, "--pool", "track"), "no tracks")
	refused(t, extract(data, "--preprocess", "torchreid"), "says itself")
	noEmbedding := filepath.Join(t.TempDir(), "onnx")
	mustRun(t, "export", filepath.Dir(filepath.Dir(model)), "--outputs", "logits", "--out", noEmbedding)
	refused(t, dml(t, "reid", "extract", filepath.Join(noEmbedding, "second.onnx"), "--data", data, "--out", out), "embedding", "second.onnx")
	refused(t, dml(t, "reid", "extract", model, model, "--data", data, "--out", out), "same file")
	refused(t, dml(t, "reid", "eval", "--features", data), "features.json")
	if _, err := os.Stat(out); err == nil {
		t.Error("a folder was made in spite of the failures")
	}

	must(0, os.RemoveAll(filepath.Join(data, "query")))
	must(0, os.Mkdir(filepath.Join(data, "query"), 0o755))
	refused(t, extract(data), "query", "no images")
}

// TestReIDFeaturesSpoiled: files of a folder that do not fit together.
func TestReIDFeaturesSpoiled(t *testing.T) {
	dir := t.TempDir()
	m := features.Manifest{
		Recipe: features.Recipe{Models: []features.Model{{File: "m.onnx", SHA256: strings.Repeat("ab", 32)}}, Preprocessing: features.Preprocessing{Height: 1, Width: 1}, Normalisation: features.L2, Dim: 2},
		Parts:  []features.Part{{Name: features.Query, Images: 1, Rows: 1}, {Name: features.Gallery, Images: 2, Rows: 2}},
	}
	restore := func() {
		t.Helper()
		for part, v := range map[string]struct {
			numbers []float32
			labels  string
		}{features.Query: {[]float32{1, 0}, "q,1,1\n"}, features.Gallery: {[]float32{1, 0, 0, 1}, "a,1,2\nb,2,2\n"}} {
			if err := features.WriteNPY(filepath.Join(dir, part+".npy"), features.Matrix{Data: v.numbers, Rows: len(v.numbers) / 2, Dim: 2}); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, part+".csv"), []byte("name,pid,camid\n"+v.labels))
		}
		if err := features.WriteManifest(dir, m); err != nil {
			t.Fatal(err)
		}
	}
	restore()
	if s := parseScores(t, mustRun(t, "reid", "eval", "--features", dir, "--json").stdout); s.MAP != 1 {
		t.Errorf("%+v", s)
	}
	put := func(part string, m features.Matrix) {
		t.Helper()
		if err := features.WriteNPY(filepath.Join(dir, part+".npy"), m); err != nil {
			t.Fatal(err)
		}
	}
	eval := func(want ...string) {
		t.Helper()
		refused(t, dml(t, "reid", "eval", "--features", dir), want...)
		restore()
	}
	put(features.Gallery, features.Matrix{Data: []float32{1, 0, 0, float32(math.NaN())}, Rows: 2, Dim: 2})
	eval("gallery.npy", "row 1", "NaN")
	put(features.Gallery, features.Matrix{Data: []float32{1, 0}, Rows: 1, Dim: 2})
	eval("gallery.npy has 1 rows", "gallery.csv has 2")
	put(features.Gallery, features.Matrix{Data: []float32{1, 0, 1, 1, 0, 1}, Rows: 2, Dim: 3})
	eval("gallery.npy has rows of 3 features", "says 2")
	writeFile(t, filepath.Join(dir, "gallery.csv"), []byte("name,pid,camid\na,1,2\nb,-7,2\n"))
	eval("gallery.csv: row 3", "identity -7")
	writeFile(t, filepath.Join(dir, "gallery.csv"), []byte("name,pid,camid\na,1,1\nb,2,2\n"))
	eval("no query has a match", "own camera")
	must(0, os.Remove(filepath.Join(dir, "query.npy")))
	eval("query.npy")
	text := string(must(os.ReadFile(filepath.Join(dir, "features.json"))))
	writeFile(t, filepath.Join(dir, "features.json"), []byte(strings.Replace(text, `"flip": false`, `"flip": true`, 1)))
	eval("features.json", "edited")
}

// TestReIDOwnNames reads persons from names of their own, among them number 0,
// who is a person there.
func TestReIDOwnNames(t *testing.T) {
	needRuntime(t)
	market := personFolder(t)
	model := personStudents(t)[0]
	own := t.TempDir()
	for folder, shot := range map[string]int{"query": 0, "bounding_box_test": 1} {
		for person := 5; person <= 8; person++ {
			for camera := 1; camera <= 2; camera++ {
				from := filepath.Join(market, folder, fmt.Sprintf("%04d_c%ds1_%06d_%02d.png", person, camera, shot, person))
				writeFile(t, filepath.Join(own, folder, fmt.Sprintf("camera%d-person%d.png", camera, person-5)), must(os.ReadFile(from)))
			}
		}
	}
	const pattern = `^camera(?P<camera>\d+)-person(?P<pid>\d+)`
	s := parseScores(t, mustRun(t, "reid", "eval", model, "--data", own, "--pattern", pattern, "--json", "--quiet").stdout)
	if s.Queries != 8 || s.Valid != 8 || s.Gallery != 8 || s.Distractors != 0 || s.Junk != 0 {
		t.Errorf("%+v", s)
	}
	refused(t, dml(t, "reid", "eval", model, "--data", own, "--quiet"), "camera1-person0.png", "give a pattern")
}

// TestEvalOfPersons says which of the persons are classified.
func TestEvalOfPersons(t *testing.T) {
	needRuntime(t)
	data := personFolder(t)
	if r := mustRun(t, "eval", personStudents(t)[0], "--data", data); !strings.HasPrefix(r.stdout, "On 36 images, train part of "+data+":\n") {
		t.Errorf("%q", r.stdout)
	}
}
