package identities_test

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/internal/pixels"
)

// tree makes a file system of JPEGs, whatever their names end in; a name may be
// followed by = and the file's text.
func tree(t testing.TB, names ...string) fstest.MapFS {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 8)), nil); err != nil {
		t.Fatal(err)
	}
	fsys := make(fstest.MapFS)
	for _, name := range names {
		if name, text, is := strings.Cut(name, "="); is {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
			continue
		}
		fsys[name] = &fstest.MapFile{Data: b.Bytes()}
	}
	return fsys
}

func TestReadMarket(t *testing.T) {
	fsys := tree(t,
		"bounding_box_train/0007_c1s1_000001_01.jpg", "bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0002_c2s1_000451_03.png",
		"bounding_box_train/-1_c1s1_000001_01.jpg", "bounding_box_train/0000_c1s1_000001_01.jpg", "bounding_box_train/Thumbs.db=x",
		"bounding_box_train/.hidden.jpg=x", "bounding_box_test/nonsense.jpg=x")
	s, err := dataset.OpenFS(fsys, dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		t.Fatal(err)
	}
	if s.Val != nil || s.Test != nil || s.Train.Name() != "market1501/train" || s.Train.Len() != 3 || !slices.Equal(s.Train.Classes(), []string{"0002", "0007"}) {
		t.Fatalf("%s with %d images of %q", s.Train.Name(), s.Train.Len(), s.Train.Classes())
	}
	for i, label := range []int{0, 0, 1} {
		m, err := s.Train.Image(i) // a JPEG called .png among them
		if err != nil || m.Width != 4 || m.Height != 8 || s.Train.Label(i) != label {
			t.Errorf("image %d: %dx%d of class %d, error %v", i, m.Width, m.Height, s.Train.Label(i), err)
		}
	}
	list, err := identities.List(fsys, identities.Train, identities.Options{})
	if err != nil || len(list.Images) != 5 || list.Skipped[".db"] != 1 || list.Images[0].PID != identities.Junk || list.Pattern.String() != "market1501" {
		t.Errorf("listed %+v, error %v", list, err)
	}
}

func TestListParts(t *testing.T) {
	market := tree(t, "query/0001_c1s1_000001_00.jpg", "bounding_box_test/0001_c2s1_000001_00.jpg", "bounding_box_test/-1_c2s1_000001_00.jpg",
		"gt_bbox/0001_c1s1_000001_00.jpg", "gt_bbox/0001_c1s1_000026_00.jpg", "gt_bbox/0001_c1s1_000051_00.jpg")
	msmt := tree(t, "list_train.txt=0000/0000_000_01_0303morning_0008_0.jpg 0\n\n0001/0001_000_01_0303morning_0017_2.jpg 1\r\n",
		"list_val.txt=0000/0000_001_02_0303noon_0008_0.jpg 0", "list_query.txt=0000/0000_000_03_0303noon_0008_0.jpg 0",
		"list_gallery.txt=0000/0000_001_04_0303noon_0008_0.jpg 0", "train/0000/0000_000_01_0303morning_0008_0.jpg", "mask_test_v2/0000/0000_000_03_0303noon_0008_0.jpg")
	deep := tree(t, "bounding_box_train/0001/0001_c1_1.png", "bounding_box_train/0002/0002_c1_1.png")
	for _, tt := range []struct {
		fsys  fs.FS
		part  identities.Part
		want  []string
		shows string
	}{
		{market, identities.Query, []string{"query/0001_c1s1_000001_00.jpg"}, "market1501"},
		{market, identities.Gallery, []string{"bounding_box_test/-1_c2s1_000001_00.jpg", "bounding_box_test/0001_c2s1_000001_00.jpg"}, "market1501"},
		{market, identities.MultiQuery, []string{"gt_bbox/0001_c1s1_000001_00.jpg", "gt_bbox/0001_c1s1_000026_00.jpg", "gt_bbox/0001_c1s1_000051_00.jpg"}, "market1501"},
		{msmt, identities.Train, []string{"train/0000/0000_000_01_0303morning_0008_0.jpg", "train/0001/0001_000_01_0303morning_0017_2.jpg", "train/0000/0000_001_02_0303noon_0008_0.jpg"}, "msmt17"},
		{msmt, identities.Query, []string{"mask_test_v2/0000/0000_000_03_0303noon_0008_0.jpg"}, "msmt17"},
		{msmt, identities.Gallery, []string{"mask_test_v2/0000/0000_001_04_0303noon_0008_0.jpg"}, "msmt17"},
		{deep, identities.Train, []string{"bounding_box_train/0001/0001_c1_1.png", "bounding_box_train/0002/0002_c1_1.png"}, "cuhk03-np"},
		{tree(t, "001_01_1.png", "001_02_1.png", "readme.txt"), identities.Train, []string{"001_01_1.png", "001_02_1.png"}, "pku-reid"},
	} {
		list, err := identities.List(tt.fsys, tt.part, identities.Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.part, err)
			continue
		}
		var files []string
		for _, m := range list.Images {
			files = append(files, m.File)
		}
		if !slices.Equal(files, tt.want) || list.Pattern.String() != tt.shows {
			t.Errorf("%s: %q by %s, want %q by %s", tt.part, files, list.Pattern, tt.want, tt.shows)
		}
	}
}

func TestListErrors(t *testing.T) {
	special := tree(t, "query/0001_c1s1_000001_00.jpg")
	special["query/0002_c1s1_000001_00.jpg"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
	for _, tt := range []struct {
		name string
		fsys fs.FS
		part identities.Part
		opts identities.Options
		want error
		says []string
	}{
		{"no gallery", tree(t, "query/0001_c1s1_000001_00.jpg"), identities.Gallery, identities.Options{Root: "/data"}, identities.ErrPart, []string{"/data", "bounding_box_test", "list_gallery.txt"}},
		{"no training part", tree(t, "query/0001_c1s1_000001_00.jpg"), identities.Train, identities.Options{}, identities.ErrPart, []string{"bounding_box_train"}},
		{"both of CUHK03", tree(t, "detected/query/0001_c1_1.png", "labeled/query/0001_c1_1.png"), identities.Query, identities.Options{}, identities.ErrPart, []string{"give the folder detected"}},
		{"empty", tree(t, "query/x.txt"), identities.Query, identities.Options{}, identities.ErrEmpty, []string{"query part"}},
		{"bad name", tree(t, "query/0001_c1s1_000001_00.jpg", "query/x.jpg"), identities.Query, identities.Options{Root: "/data"}, identities.ErrName, []string{"/data/query/x.jpg", "market1501"}},
		{"all bad names", tree(t, "query/x.jpg"), identities.Query, identities.Options{}, identities.ErrName, []string{"x.jpg", "give a pattern"}},
		{"other pattern", tree(t, "query/0001_c1_1.png"), identities.Query, identities.Options{Pattern: pattern(t, "pku-reid")}, identities.ErrName, []string{"pku-reid"}},
		{"pipe", special, identities.Query, identities.Options{}, nil, []string{"0002_c1s1_000001_00.jpg", "remove it"}},
		{"bad line", tree(t, "test/x", "list_query.txt=a.jpg 1\n"), identities.Query, identities.Options{}, identities.ErrName, []string{"list_query.txt", "record 0", "a.jpg"}},
		{"outside", tree(t, "test/x", "list_query.txt=\n../a.jpg 1\n"), identities.Query, identities.Options{}, identities.ErrList, []string{"list_query.txt", "record 1", "../a.jpg"}},
		{"no folder for a list", tree(t, "list_query.txt=x"), identities.Query, identities.Options{}, identities.ErrPart, []string{"test or mask_test_v2"}},
		{"no such part", tree(t), "gallary", identities.Options{}, nil, []string{"gallary"}},
	} {
		_, err := identities.List(tt.fsys, tt.part, tt.opts)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
			continue
		}
		for _, says := range tt.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: error %q does not say %q", tt.name, err, says)
			}
		}
	}
	if l, err := identities.List(special, identities.Query, identities.Options{Missing: true}); err != nil || len(l.Images) != 2 {
		t.Errorf("a pipe, by a caller that expects some: %v, %v", l.Images, err)
	}
	if _, err := dataset.OpenFS(tree(t, "bounding_box_train/0000_c1s1_000001_00.jpg"), dataset.Options{Kind: dataset.Market1501}); !errors.Is(err, identities.ErrEmpty) {
		t.Errorf("only distractors: %v", err)
	}
	broken := tree(t, "bounding_box_train/0001_c1s1_000001_00.jpg=x")
	s, err := dataset.OpenFS(broken, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var data *dataset.DataError
	if _, err := s.Train.Image(0); !errors.As(err, &data) || data.File != "bounding_box_train/0001_c1s1_000001_00.jpg" || !errors.Is(err, pixels.ErrFormat) {
		t.Errorf("a broken image: %v", err)
	}
}

func TestPresent(t *testing.T) {
	for want, trees := range map[bool][]fs.FS{
		true: {tree(t, "bounding_box_train/x"), tree(t, "list_train.txt"), tree(t, "readme.txt", "001_01_1.png")},
		false: {tree(t), tree(t, "bounding_box_train"), tree(t, "a/1.png", "b/1.png"), tree(t, "1.png"), tree(t, "001_01_1.png", "cats/1.png"),
			tree(t, ".001_01_1.png")},
	} {
		for i, fsys := range trees {
			if identities.Present(fsys) != want {
				t.Errorf("tree %d: want %v", i, want)
			}
		}
	}
}

// FuzzList: no list of MSMT17 makes anything but an error.
func FuzzList(f *testing.F) {
	f.Add("0000/0000_000_01_0303morning_0008_0.jpg 0\n")
	f.Add("a b c\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		fsys := fstest.MapFS{"list_query.txt": {Data: []byte(text)}, "test/x": {}}
		list, err := identities.List(fsys, identities.Query, identities.Options{})
		if (err == nil) != (len(list.Images) > 0) {
			t.Fatalf("%d images, error %v", len(list.Images), err)
		}
		for _, m := range list.Images {
			if !fs.ValidPath(m.File) || !strings.HasPrefix(m.File, "test/") {
				t.Fatalf("image %q", m.File)
			}
		}
	})
}

// TestRealMarket reads the real images' names, and decodes some.
func TestRealMarket(t *testing.T) {
	fsys, err := fs.Sub(datatest.SharedTar(t, "market1501-mini.tar"), "market1501-mini")
	if err != nil {
		t.Fatal(err)
	}
	s, err := dataset.OpenFS(fsys, dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Len() != 9173 || len(s.Train.Classes()) != 500 || s.Train.Classes()[0] != "0002" || s.Train.Classes()[499] != "0954" {
		t.Errorf("%d images of %d identities", s.Train.Len(), len(s.Train.Classes()))
	}
	for part, want := range map[identities.Part]int{identities.Query: 453, identities.Gallery: 1026, identities.MultiQuery: 1479} {
		list, err := identities.List(fsys, part, identities.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pids, cameras := make(map[int]bool), make(map[int]bool)
		for _, m := range list.Images {
			pids[m.PID], cameras[m.Camera] = true, true
		}
		t.Logf("%s: %d images of %d identities by %d cameras", part, len(list.Images), len(pids), len(cameras))
		if len(list.Images) != want || len(pids) != 100 || len(cameras) != 6 {
			t.Errorf("%s: %d images of %d identities by %d cameras", part, len(list.Images), len(pids), len(cameras))
		}
	}
	for i := 0; i < s.Train.Len(); i += 500 {
		if m, err := s.Train.Image(i); err != nil || m.Width != 64 || m.Height != 128 || m.Channels != 3 {
			t.Errorf("image %d: %dx%dx%d, error %v", i, m.Width, m.Height, m.Channels, err)
		}
	}
}

// TestRealPKU: the images are JPEGs called .png.
func TestRealPKU(t *testing.T) {
	fsys, err := fs.Sub(datatest.SharedTar(t, "pku-reid.tar"), "pku-reid")
	if err != nil {
		t.Fatal(err)
	}
	s, err := dataset.OpenFS(fsys, dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Name() != "pku-reid/train" || s.Train.Len() != 992 || len(s.Train.Classes()) != 62 {
		t.Errorf("%s: %d images of %d identities", s.Train.Name(), s.Train.Len(), len(s.Train.Classes()))
	}
	for i := 0; i < s.Train.Len(); i += 100 {
		if m, err := s.Train.Image(i); err != nil || m.Width != 48 || m.Height != 128 {
			t.Errorf("image %d: %dx%d, error %v", i, m.Width, m.Height, err)
		}
	}
}
