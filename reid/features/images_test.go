package features

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/reid"
)

// listed are the names and labels of a source's images, by part.
func listed(s *Images) map[string][]reid.Label {
	out := make(map[string][]reid.Label)
	for _, p := range s.Parts {
		for _, r := range p.Images {
			out[p.Name] = append(out[p.Name], r.Label)
		}
	}
	return out
}

func label(pid, camera int) reid.Label {
	return reid.Label{PID: reid.Number(pid), Camera: reid.Number(camera)}
}

func TestOpenFolder(t *testing.T) {
	pattern := func(text string) *identities.Pattern {
		p, err := identities.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		name    string
		files   []string
		lists   map[string]string
		pattern *identities.Pattern
		want    map[string][]reid.Label
		data    Data
	}{
		{name: "Market-1501, junk and distractors",
			files: []string{"bounding_box_train/0009_c1s1_000001_00.jpg", "query/0002_c3s1_000001_00.jpg", "bounding_box_test/-1_c1s1_000001_00.jpg", "bounding_box_test/0000_c2s1_000001_00.jpg", "bounding_box_test/0002_c1s1_000001_00.jpg", "gt_bbox/0002_c3s1_000001_00.jpg"},
			want:  map[string][]reid.Label{"query": {label(2, 3)}, "gallery": {label(-1, 1), label(0, 2), label(2, 1)}, "multi_query": {label(2, 3)}},
			data:  Data{Pattern: "market1501"}},
		{name: "CUHK03-NP",
			files: []string{"query/0001_c1_1.png", "bounding_box_test/0001_c2_1.png"},
			want:  map[string][]reid.Label{"query": {label(1, 1)}, "gallery": {label(1, 2)}},
			data:  Data{Pattern: "cuhk03-np", ZeroIsIdentity: true}},
		{name: "MSMT17",
			files: []string{"test/0000/0000_000_01_0303morning_0015_0.jpg", "test/0000/0000_001_07_0303noon_0015_0_ex.jpg"},
			lists: map[string]string{"list_query.txt": "0000/0000_000_01_0303morning_0015_0.jpg 0\n", "list_gallery.txt": "0000/0000_001_07_0303noon_0015_0_ex.jpg 0\n"},
			want:  map[string][]reid.Label{"query": {label(0, 1)}, "gallery": {label(0, 7)}},
			data:  Data{Pattern: "msmt17", ZeroIsIdentity: true}},
		{name: "PKU-Reid, one folder",
			files: []string{"001_01_1.png", "001_02_8.png"},
			want:  map[string][]reid.Label{"gallery": {label(1, 1), label(1, 2)}},
			data:  Data{Pattern: "pku-reid", ZeroIsIdentity: true, Undivided: true}},
		{name: "own names", pattern: pattern(`^cam(?P<camera>\d+)-person(?P<pid>\d+)`),
			files: []string{"query/cam4-person12.jpg", "bounding_box_test/cam5-person12.jpg"},
			want:  map[string][]reid.Label{"query": {label(12, 4)}, "gallery": {label(12, 5)}},
			data:  Data{Pattern: `^cam(?P<camera>\d+)-person(?P<pid>\d+)`, ZeroIsIdentity: true}},
		{name: "a gallery alone",
			files: []string{"bounding_box_test/0002_c1s1_000001_00.jpg"},
			want:  map[string][]reid.Label{"gallery": {label(2, 1)}},
			data:  Data{Pattern: "market1501"}},
	} {
		dir := t.TempDir()
		for _, f := range tc.files {
			write(t, filepath.Join(dir, f), nil)
		}
		for f, text := range tc.lists {
			write(t, filepath.Join(dir, f), []byte(text))
		}
		s, err := OpenImages(dir, ImagesOptions{Pattern: tc.pattern})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		tc.data.Path = dir
		if got := listed(s); !reflect.DeepEqual(got, tc.want) || s.Data != tc.data {
			t.Errorf("%s: %v, %+v", tc.name, got, s.Data)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bounding_box_train", "0009_c1s1_000001_00.jpg"), nil)
	if _, err := OpenImages(dir, ImagesOptions{}); !errors.Is(err, identities.ErrPart) || !strings.Contains(err.Error(), "query") {
		t.Errorf("training images alone: %v", err)
	}
	write(t, filepath.Join(dir, "query", "readme.txt"), nil)
	if _, err := OpenImages(dir, ImagesOptions{}); !errors.Is(err, identities.ErrEmpty) || !strings.Contains(err.Error(), "query") {
		t.Errorf("an empty query folder: %v", err)
	}
	write(t, filepath.Join(dir, "query", "holiday.jpg"), nil)
	if _, err := OpenImages(dir, ImagesOptions{}); !errors.Is(err, identities.ErrName) || !strings.Contains(err.Error(), "holiday.jpg") {
		t.Errorf("other names: %v", err)
	}
	if _, err := OpenImages(filepath.Join(dir, "none"), ImagesOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestOpenList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.csv")
	write(t, path, []byte("path,pid,camid,split,track,time\na.jpg,3,1,query,,\nb.jpg,,,gallery,t,12:00\n/c.jpg,-1,2,gallery,,\nd.jpg,3,4,multi_query,,\ne.jpg,9,9,train,,\nf.jpg,9,9,val,,\n"))
	s := open(t, path)
	want := map[string][]reid.Label{"query": {label(3, 1)}, "gallery": {{}, label(-1, 2)}, "multi_query": {label(3, 4)}}
	if got := listed(s); !reflect.DeepEqual(got, want) || s.Data.Undivided || s.Data.ZeroIsIdentity {
		t.Errorf("%v, %+v", got, s.Data)
	}
	if r := s.Parts[1].Images[0]; r.Track != "t" || r.Time != "12:00" || s.file(r) != filepath.Join(filepath.Dir(path), "b.jpg") || s.file(s.Parts[1].Images[1]) != "/c.jpg" {
		t.Errorf("%+v", s.Parts[1])
	}
	write(t, path, []byte("path,pid,camid\na.jpg,3,1\nb.jpg,,\n"))
	if s := open(t, path); len(s.Parts) != 1 || s.Parts[0].Name != "gallery" || len(s.Parts[0].Images) != 2 || !s.Data.Undivided {
		t.Errorf("no splits: %+v", s)
	}
	for text, want := range map[string]struct {
		is   error
		text string
	}{
		"path,pid,camid,split\na,1,1,query\nb,1,1,\n": {ErrSplit, "list.csv: row 3"},
		"path,pid,camid,split\na,1,1,test\n":          {ErrSplit, `row 2: bad split "test"`},
		"path,pid,camid,split\na,1,1,train\n":         {reid.ErrEmpty, "list.csv"},
		"path,pid,camid\n":                            {reid.ErrEmpty, "list.csv"},
		"path,pid,camid\na,-7,1\n":                    {ErrRow, "list.csv: row 2"},
		"path,label\na,x\n":                           {ErrColumns, "label"},
	} {
		write(t, path, []byte(text))
		if _, err := OpenImages(path, ImagesOptions{}); !errors.Is(err, want.is) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestListNamesOneFileTwice: with two identities or cameras it is refused.
func TestListNamesOneFileTwice(t *testing.T) {
	for rows, refused := range map[string]bool{
		"a.jpg,1,1,query\na.jpg,1,1,gallery\n":    false,
		"a.jpg,1,1,query\na.jpg,01,1,gallery\n":   false,
		"a.jpg,1,1,query\n./a.jpg,2,1,gallery\n":  true,
		"a.jpg,1,1,gallery\na.jpg,1,2,gallery\n":  true,
		"a.jpg,1,1,gallery\n a.jpg,1,2,gallery\n": false, // another file
	} {
		path := filepath.Join(t.TempDir(), "l.csv")
		if err := os.WriteFile(path, []byte("path,pid,camid,split\n"+rows), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := openList(path); errors.Is(err, ErrRow) != refused || refused && !strings.Contains(err.Error(), "row 3") {
			t.Errorf("%q: %v", rows, err)
		}
	}
}
