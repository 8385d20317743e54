package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/gallery"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// featureFolder is a folder of features as if a model of that checksum had made
// it: of four images of the gallery, and a query.
func featureFolder(t *testing.T, sum string) string {
	t.Helper()
	dir := t.TempDir()
	m := features.Manifest{
		Recipe: features.Recipe{
			Models: []features.Model{{File: "m.onnx", SHA256: strings.Repeat(sum, 64)}}, Normalisation: features.L2, Dim: 2,
			Preprocessing: features.Preprocessing{Height: 16, Width: 8, Interpolation: "bilinear", ChannelOrder: "rgb", Layout: "nchw"},
		},
		Parts: []features.Part{{Name: features.Query, Images: 1, Rows: 1}, {Name: features.Gallery, Images: 4, Rows: 4}},
	}
	for part, data := range map[string][]float32{features.Query: {1, 0}, features.Gallery: {0, 1, 1, 0, .8, .6, .6, .8}} {
		if err := features.WriteNPY(filepath.Join(dir, part+".npy"), features.Matrix{Data: data, Rows: len(data) / 2, Dim: 2}); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "query.csv"), []byte("name,pid,camid\nq.jpg,,\n"))
	writeFile(t, filepath.Join(dir, "gallery.csv"), []byte("name,pid,camid,track,time\na.jpg,1,1,t,2026-05-01\nb.jpg,1,2,,2026-05-02T10:00:00Z\nc.jpg,,2,,60\nd.jpg,3,,,\n"))
	if err := features.WriteManifest(dir, m); err != nil {
		t.Fatal(err)
	}
	return dir
}

// namesOf runs a search and returns the names of each query's hits.
func namesOf(t *testing.T, args ...string) [][]string {
	t.Helper()
	var f gallery.Found
	if err := json.Unmarshal([]byte(mustRun(t, append([]string{"reid", "gallery", "search", "--json"}, args...)...).stdout), &f); err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for _, q := range f.Queries {
		var names []string
		for _, h := range q.Hits {
			names = append(names, h.Name)
		}
		out = append(out, names)
	}
	return out
}

func TestGalleryOfFeatures(t *testing.T) {
	folder, g := featureFolder(t, "a"), filepath.Join(t.TempDir(), "g")
	r := mustRun(t, "reid", "gallery", "create", g, "--fingerprint-from", folder)
	if r.stdout != g+": created for 2 features an image\n" {
		t.Errorf("%q", r.stdout)
	}
	if r := mustRun(t, "reid", "gallery", "add", g, "--features", folder); r.stdout != g+": 4 images added, 4 now\n" {
		t.Errorf("%q", r.stdout)
	}
	query := filepath.Join(folder, "query.npy")
	for _, tc := range []struct {
		flags string
		want  string
	}{
		{"--features " + folder, "b.jpg c.jpg d.jpg a.jpg"},
		{"--query " + query, "b.jpg c.jpg d.jpg a.jpg"},
		{"--query " + query + " --top 2", "b.jpg c.jpg"},
		{"--query " + query + " --pid 1,3", "b.jpg d.jpg a.jpg"},
		{"--query " + query + " --pid 1 --pid 3", "b.jpg d.jpg a.jpg"},
		{"--query " + query + " --pid unknown", "c.jpg"},
		{"--query " + query + " --not-pid 1", "c.jpg d.jpg"},
		{"--query " + query + " --camera 2", "b.jpg c.jpg"},
		{"--query " + query + " --not-camera 2,unknown", "a.jpg"},
		{"--query " + query + " --since 2026-05-02", "b.jpg"},
		{"--query " + query + " --until 2026-05-01T12:00:00Z", "c.jpg a.jpg"},
		{"--query " + query + " --since 60 --until 2026-05-01", "c.jpg"},
		{"--query " + query + " --pid 77", ""},
		{"--features " + folder + " --part gallery --top 1", "a.jpg|b.jpg|c.jpg|d.jpg"},
	} {
		var got []string
		for _, names := range namesOf(t, append([]string{g}, strings.Fields(tc.flags)...)...) {
			got = append(got, strings.Join(names, " "))
		}
		if strings.Join(got, "|") != tc.want {
			t.Errorf("%s: %q, want %q", tc.flags, got, tc.want)
		}
	}
	text := mustRun(t, "reid", "gallery", "search", g, "--features", folder).stdout
	for _, want := range []string{"q.jpg\n", "RANK  DISTANCE  NAME", "1     0.0000    b.jpg  1    2       2026-05-02T10:00:00Z", "2     0.2000    c.jpg  -    2"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if r := mustRun(t, "reid", "gallery", "search", g, "--features", folder, "--pid", "77"); !strings.Contains(r.stdout, "no image of the gallery fits the flags") {
		t.Errorf("%q", r.stdout)
	}

	r = mustRun(t, "reid", "gallery", "add", g, "--features", folder, "--existing", "skip")
	if r.stdout != g+": 0 images added, 4 skipped that are there already, 4 now\n" {
		t.Errorf("%q", r.stdout)
	}
	mustRun(t, "reid", "gallery", "add", g, "--features", folder, "--existing", "replace")
	if r := mustRun(t, "reid", "gallery", "rm", g, "--name", "a.jpg", "--name", "x"); r.stdout != g+": 1 image removed, 3 left\n" {
		t.Errorf("%q", r.stdout)
	}
	var info reid.GalleryInfo
	if err := json.Unmarshal([]byte(mustRun(t, "reid", "gallery", "rm", g, "--pid", "3", "--json").stdout), &info); err != nil || info.Images != 2 || info.Removed != 6 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := json.Unmarshal([]byte(mustRun(t, "reid", "gallery", "info", g, "--json").stdout), &info); err != nil ||
		info.Images != 2 || info.Dim != 2 || !slices.Equal(info.Cameras, []reid.ID{"2"}) || info.Fingerprint != must(features.ReadManifest(folder)).Fingerprint() {
		t.Errorf("%+v, %v", info, err)
	}
	if r := mustRun(t, "reid", "gallery", "info", g, "--verify"); !strings.Contains(r.stdout, "checksums    right") || !strings.Contains(r.stdout, "1970-01-01T00:01:00Z") {
		t.Errorf("%s", r.stdout)
	}
}

func TestGalleryRefusals(t *testing.T) {
	folder, foreign, g := featureFolder(t, "a"), featureFolder(t, "b"), filepath.Join(t.TempDir(), "g")
	mustRun(t, "reid", "gallery", "create", g, "--fingerprint-from", folder)
	mustRun(t, "reid", "gallery", "add", g, "--features", folder)
	for _, tc := range []struct{ args, want string }{
		{"create " + g + " --fingerprint-from " + folder, "exists already"},
		{"create " + g + "2 --fingerprint-from " + g, features.ManifestFile},
		{"add " + g + " --features " + folder, `row 0 (from 0): an image of this name is there already: "a.jpg"`},
		{"add " + g + " --features " + foreign, "features of another model or preprocessing"},
		{"search " + g + " --features " + foreign, "features of another model or preprocessing"},
		{"search " + g + " --query " + filepath.Join(foreign, "query.npy"), "features of another model or preprocessing"},
		{"search " + g + " --query " + filepath.Join(g, "q.npy"), "nothing says how"},
		{"add " + g + " --features " + folder + " --part multi_query", "no images"},
		{"rm " + g + " --name x", "nothing was removed"},
		{"info " + folder, folder + " holds no gallery"},
	} {
		refused(t, dml(t, append([]string{"reid", "gallery"}, strings.Fields(tc.args)...)...), tc.want)
	}
	for _, tc := range []struct{ args, want string }{
		{"frobnicate", "unknown command"},
		{"create", "needs the gallery's folder"},
		{"create m.onnx", "comes first"},
		{"create " + g + "2", "either ONNX files or --fingerprint-from"},
		{"create " + g + "2 x --fingerprint-from " + folder, "unexpected argument"},
		{"add " + g, "needs --features"},
		{"add " + g + " --features " + folder + " --data " + folder, "--data"},
		{"add " + g + " --features " + folder + " --existing maybe", "--existing"},
		{"add " + g + " --features " + folder + " --part x", "--part"},
		{"rm " + g, "--name"},
		{"rm " + g + " --pid -7", "--pid"},
		{"rm " + g + " --until 0001-01-01", "unknown time"},
		{"search " + g, "what to search for"},
		{"search " + g + " a.jpg", "ONNX files"},
		{"search " + g + " --features " + folder + " --query q.npy", "one thing"},
		{"search " + g + " --features " + folder + " --flip", "--flip"},
		{"search " + g + " --features " + folder + " --top 0", "--top"},
		{"search " + g + " --features " + folder + " --since noon", "--since"},
		{"search " + g + " --features " + folder + " --since 9 --until 8", "no time"},
		{"search " + g + " --features " + folder + " --fingerprint-from x", "--fingerprint-from"},
		{"info", "needs the gallery's folder"},
		{"info " + g + " --nonsense", "nonsense"},
	} {
		if r := dml(t, append([]string{"reid", "gallery"}, strings.Fields(tc.args)...)...); r.code != exitUsage || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
			t.Errorf("%s: exit code %d, %q", tc.args, r.code, r.stderr)
		}
	}

	file := filepath.Join(g, "features.f32")
	content := must(os.ReadFile(file))
	content[9] ^= 1
	writeFile(t, file, content)
	refused(t, dml(t, "reid", "gallery", "info", g, "--verify"), file+" is damaged at byte 8", "b.jpg")
	refused(t, dml(t, "reid", "gallery", "search", g, "--features", folder), file+" is damaged at byte 8")
	mustRun(t, "reid", "gallery", "info", g)
}

// TestGalleryRoad adds images by a model and finds persons by other images.
func TestGalleryRoad(t *testing.T) {
	needRuntime(t)
	data := personFolder(t)
	models := personStudents(t)
	g := filepath.Join(t.TempDir(), "g")
	mustRun(t, "reid", "gallery", "create", g, models[0])
	if r := mustRun(t, "reid", "gallery", "add", g, models[0], "--data", data); r.stdout != g+": 26 images added, 26 now\n" {
		t.Errorf("%q", r.stdout)
	}
	if r := mustRun(t, "reid", "gallery", "add", g, models[0], "--data", data, "--part", "query"); r.stdout != g+": 12 images added, 38 now\n" {
		t.Errorf("%q", r.stdout)
	}
	got := namesOf(t, g, models[0], filepath.Join(data, "query"), "--top", "1")
	if len(got) != 12 {
		t.Fatalf("%v", got)
	}
	for _, names := range got { // themselves
		if len(names) != 1 || !strings.HasPrefix(names[0], "query") {
			t.Errorf("%v", names)
		}
	}
	refused(t, dml(t, "reid", "gallery", "add", g, models[1], "--data", data), "another model")
	// Images that are there are not read: these cannot be.
	known := t.TempDir()
	if err := os.CopyFS(known, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	images := must(filepath.Glob(filepath.Join(known, "bounding_box_test", "*.png")))
	if len(images) != 26 {
		t.Fatalf("%d images", len(images))
	}
	for _, path := range images {
		writeFile(t, path, []byte("no image"))
	}
	add := []string{"reid", "gallery", "add", g, models[0], "--strict", "--data"}
	refused(t, dml(t, append(add, known)...), "an image of this name is there already: \"bounding_box_test/")
	if r := mustRun(t, append(add, known, "--existing", "skip")...); r.stdout != g+": 0 images added, 26 skipped that are there already, 38 now\n" {
		t.Errorf("%q", r.stdout)
	}
	refused(t, dml(t, append(add, known, "--existing", "replace")...), "not a JPEG or PNG")
	name := strings.TrimPrefix(images[3], known+string(filepath.Separator))
	mustRun(t, "reid", "gallery", "rm", g, "--name", filepath.ToSlash(name))
	writeFile(t, images[3], must(os.ReadFile(filepath.Join(data, name))))
	if r := mustRun(t, append(add, known, "--existing", "skip")...); r.stdout != g+": 1 image added, 25 skipped that are there already, 38 now\n" {
		t.Errorf("%q", r.stdout)
	}
	// Only what is added is embedded: a broken query is not missed.
	part := t.TempDir()
	if err := os.CopyFS(part, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, must(filepath.Glob(filepath.Join(part, "query", "*")))[0], []byte("no image"))
	again := filepath.Join(t.TempDir(), "again")
	mustRun(t, "reid", "gallery", "create", again, models[0])
	mustRun(t, "reid", "gallery", "add", again, models[0], "--data", part, "--strict")
	refused(t, dml(t, "reid", "gallery", "add", again, models[0], "--data", part, "--strict", "--part", "query"), "query")
	own := t.TempDir()
	writeFile(t, filepath.Join(own, "IMG_1.jpg"), []byte("no image"))
	refused(t, dml(t, "reid", "gallery", "add", g, models[0], "--data", own), "give a pattern with --pattern, or list the images in a .csv file")
	refused(t, dml(t, "reid", "gallery", "search", g, models[0], "--flip", filepath.Join(data, "query")), "another model")
	timed := filepath.Join(t.TempDir(), "timed.csv")
	writeFile(t, timed, []byte("path,pid,camid,split,time\na.png,1,1,train,dawn\nb.png,1,1,gallery,noon\n"))
	refused(t, dml(t, "reid", "gallery", "add", g, models[0], "--data", timed), timed+": row 3", "noon")
	broken := filepath.Join(t.TempDir(), "broken.jpg")
	writeFile(t, broken, []byte("\xff\xd8\xffnothing"))
	refused(t, dml(t, "reid", "gallery", "search", g, models[0], broken), broken)
	if info := must(reid.ReadGalleryInfo(g)); info.Images != 38 || info.Identities != 4 {
		t.Errorf("%+v", info)
	}
}
