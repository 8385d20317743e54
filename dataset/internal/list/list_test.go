package list_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"image"
	"image/png"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset/internal/list"
	"github.com/deepmutual/dml/dataset/internal/raw"
)

func pictures(t testing.TB, names ...string) fstest.MapFS {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	fsys := make(fstest.MapFS)
	for _, name := range names {
		fsys[name] = &fstest.MapFile{Data: b.Bytes()}
	}
	return fsys
}

func TestRead(t *testing.T) {
	text := "\ufeffsplit, label,path\n" + // of a spreadsheet
		"train,dog,a.png\n,cat,b.png\nval,dog,c.png\ntest,cat,missing.png\n,\"with, comma\",d.png\n,dog,a.png\n"
	s, err := list.Read(strings.NewReader(text), pictures(t, "a.png", "b.png", "c.png", "d.png"), "some/list.csv")
	if err != nil {
		t.Fatal(err)
	}
	classes := []string{"cat", "dog", "with, comma"}
	if !slices.Equal(s.Classes, classes) || s.Undivided {
		t.Errorf("classes %q, undivided %v", s.Classes, s.Undivided)
	}
	if !slices.Equal(s.Train.Labels, []int{1, 0, 2, 1}) || !slices.Equal(s.Val.Labels, []int{1}) || !slices.Equal(s.Test.Labels, []int{0}) {
		t.Errorf("labels %v, %v, %v", s.Train.Labels, s.Val.Labels, s.Test.Labels)
	}
	if !slices.Equal(s.Train.Files, []string{"a.png", "b.png", "d.png", "a.png"}) || s.Train.Name != "list/train" {
		t.Errorf("%s: files %q", s.Train.Name, s.Train.Files)
	}
}

func TestClassOrder(t *testing.T) {
	for text, want := range map[string][]string{
		"10\n9\n-1\n010\n": {"-1", "9", "010", "10"},
		"10\n9\nx\n":       {"10", "9", "x"},
	} {
		names := []string{"a.png", "b.png", "c.png", "d.png"}
		rows := "path,label\n"
		for i, label := range strings.Fields(text) {
			rows += names[i] + "," + label + "\n"
		}
		s, err := list.Read(strings.NewReader(rows), pictures(t, names...), "list")
		if err != nil || !slices.Equal(s.Classes, want) {
			t.Errorf("%q: classes %q, error %v", text, s.Classes, err)
		}
	}
}

// TestIdentities: a list of people, as dml reid takes it, is one to train on, too.
func TestIdentities(t *testing.T) {
	const text = "path,pid,camid,split,track,time\n" +
		"a.png,12,1,train,,\nb.png,3,2,,t1,5\nc.png,-1,1,train,,\nd.png,3,1,val,,\n" +
		"e.png,900,1,query,,\ne.png,900,1,gallery,,\nf.png,,,gallery,,\n"
	s, err := list.Read(strings.NewReader(text), pictures(t, "a.png", "b.png", "c.png", "d.png"), "list")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"0003", "0012"}; !slices.Equal(s.Classes, want) || s.Train.Len() != 2 || s.Val.Len() != 1 || s.Test != nil {
		t.Errorf("classes %q, %d to train on, test %v", s.Classes, s.Train.Len(), s.Test)
	}
	if !slices.Equal(s.Train.Labels, []int{1, 0}) || s.Val.Labels[0] != 0 {
		t.Errorf("labels %d, %d", s.Train.Labels, s.Val.Labels)
	}
	without, err := list.Read(strings.NewReader("path,pid,camid\na.png,1,1\nb.png,2,1\n"), pictures(t, "a.png", "b.png"), "list")
	if err != nil || without.Train.Len() != 2 || without.Undivided {
		t.Errorf("without splits: %+v, error %v", without, err)
	}
}

// TestSpaces: spaces around a cell are no part of it, but of a path they are.
func TestSpaces(t *testing.T) {
	s, err := list.Read(strings.NewReader("path, label ,split\na.png,blue,train\nb.png, blue ,\n c .png,red , val \nd.png,red,train\n"), pictures(t, "a.png", "b.png", " c .png", "d.png"), "list")
	if err != nil || !slices.Equal(s.Classes, []string{"blue", "red"}) || s.Train.Len() != 3 || s.Val.Len() != 1 || s.Val.Files[0] != " c .png" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := list.Read(strings.NewReader("path,label\n \t,blue\n"), pictures(t), "list"); !errors.Is(err, list.ErrRow) {
		t.Errorf("a path of spaces: %v", err)
	}
}

func TestUndivided(t *testing.T) {
	s, err := list.Read(strings.NewReader("path,label\na.png,x\nb.png,y\n"), pictures(t, "a.png", "b.png"), "list")
	if err != nil || s.Train.Len() != 2 || s.Test != nil || s.Val != nil || !s.Undivided {
		t.Errorf("%+v, error %v", s, err)
	}
}

func TestErrors(t *testing.T) {
	fsys := pictures(t, "a.png")
	fsys["pipe.png"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
	var parse *csv.ParseError
	for _, tt := range []struct {
		text string
		want error
		says string
	}{
		{"", list.ErrColumns, "l.csv: row 1: bad columns: the list is empty"},
		{"path,label\n", list.ErrEmpty, "l.csv: row 1"},
		{"a.png,cat\n", list.ErrColumns, `"a.png" is not one of path, label, split`},
		{"path,splitt,label\n", list.ErrColumns, `"splitt"`},
		{"path,path,label\n", list.ErrColumns, "two are called path"},
		{"path,split\n", list.ErrColumns, "no column label"},
		{"path,label\na.png,x\n,x\n", list.ErrRow, "l.csv: row 3: bad row: the path is empty"},
		{"path,label\na.png,\n", list.ErrRow, "row 2: bad row: the label is empty"},
		{"path,label\na.png,\xff\n", list.ErrRow, "row 2: bad row: the label"},
		{"path,label,split\na.png,x,dev\n", list.ErrRow, `row 2: bad row: the split "dev" is none of train, val, test`},
		{"path,label\na.png,x\n\nb.png,x\n", fs.ErrNotExist, "row 4"}, // the empty line counts
		{"path,label\npipe.png,x\n", list.ErrRow, "not a regular file"},
		{"path,label\n/a.png,x\n", fs.ErrNotExist, "row 2"}, // in an fs.FS without such paths
		{"path,label,split\na.png,x,train\na.png,y,val\n", list.ErrEmpty, `row 3: bad row: the class "y" has no training images`},
		{"path,label,split\na.png,x,test\n", list.ErrEmpty, "row 2"},
		{"path,label,split\na.png,x,train\nb.png,x,\n./a.png,x,test\n", list.ErrRow, "row 4: bad row: ./a.png is for test here and for train in row 2"},
		{"path,label\na.png,x\nb.png,y\na.png,y\n", list.ErrRow, `row 4: bad row: a.png has the label "y" here and "x" in row 2`},
		{"path,label,pid\na.png,x,1\n", list.ErrColumns, "either of classes or of people"},
		{"path,pid,camid\na.png,7,1\na.png,8,1\n", list.ErrRow, "row 3: bad row: a.png is of identity 8 by camera 1 here and of 7 by camera 1 in row 2"},
		{"path,pid,camid,split\nb.png,1,1,\na.png,7,1,query\na.png,7,2,gallery\n", list.ErrRow, "row 4: bad row: a.png is of identity 7 by camera 2 here"},
		{"path,camid\na.png,1\n", list.ErrColumns, "no column label"},
		{"path,pid,camid\na.png,,1\n", list.ErrRow, "row 2: bad row: the pid is empty"},
		{"path,pid,camid\na.png,x,1\n", list.ErrRow, `the pid "x" is not a whole number`},
		{"path,pid,camid\na.png,-2,1\n", list.ErrRow, `the pid "-2" is not a whole number`},
		{"path,pid,camid\na.png,0,1\n", list.ErrRow, "distractor"},
		{"path,pid,camid,split\na.png,7,1,query\n", list.ErrEmpty, "no row is one to train on"},
		{"path,pid,camid,split\na.png,7,1,train\nb.png,7,1,\na.png,,1,gallery\n", list.ErrRow, "row 4: bad row: a.png is for gallery here and for train in row 2"},
		{"path,label\na.png,x,train\n", csv.ErrFieldCount, "l.csv: record on line 2: wrong number of fields"},
		{"path,label\na.png,\"x\n", csv.ErrQuote, "l.csv: parse error on line 2"},
	} {
		s, err := list.Read(strings.NewReader(tt.text), fsys, "l.csv")
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || s.Train != nil {
			t.Errorf("%q: error %v, want %v that says %q", tt.text, err, tt.want, tt.says)
		}
		var row *raw.Error
		if !errors.As(err, &row) && !errors.As(err, &parse) {
			t.Errorf("%q: error %T names no row", tt.text, err)
		}
	}
}

// FuzzRead: any text gives either whole data or an error that names the list.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"", "path,label\na.png,x\n", "path,label,split\na.png,\"x\",val\na.png,x,\n", "label,path\n1,a.png\n02,a.png", "\ufeffpath,label\r\na.png,x\r\n", "path,label\n\"a\nb\",x\n", "path,pid,camid,split\na.png,1,1,\na.png,2,1,query\n"} {
		f.Add(text)
	}
	fsys := pictures(f, "a.png")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := list.Read(strings.NewReader(text), fsys, "l.csv")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "l.csv: ") || len(err.Error()) > 4*len(text)+1000 {
				t.Fatalf("error %q", err)
			}
			return
		}
		for _, p := range []*raw.Part{s.Train, s.Val, s.Test} {
			if p == nil {
				continue
			}
			if len(p.Files) != len(p.Labels) {
				t.Fatalf("%d labels for %d files", len(p.Labels), len(p.Files))
			}
			for _, l := range p.Labels {
				if l < 0 || l >= len(s.Classes) {
					t.Fatalf("label %d of %d classes", l, len(s.Classes))
				}
			}
		}
		if s.Train == nil || s.Train.Len() == 0 {
			t.Fatal("no training images, and no error")
		}
	})
}
