package features

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npy"
	"gonum.org/v1/gonum/mat"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// file makes a .npy file of version 1 by hand.
func file(header, data string) []byte {
	return []byte(magic + "\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) + header + data)
}

func decode(b []byte) (Matrix, error) {
	r := bytes.NewReader(b)
	h, start, err := readHeader(r)
	if err == nil {
		err = h.check(int64(len(b)) - start)
	}
	if err != nil {
		return Matrix{}, err
	}
	n, err := h.read(r, false)
	return Matrix{n.single, n.rows, n.dim}, err
}

// encode is what WriteNPY writes.
func encode(t *testing.T, m Matrix) []byte {
	var out bytes.Buffer
	if err := encodeRows(bufio.NewWriter(&out), m.Rows, m.Dim, func(i int, row []float32) error {
		copy(row, m.Data[i*m.Dim:])
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDecodeNPY(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  Matrix
	}{
		{"float16", file("{'descr': '<f2', 'fortran_order': False, 'shape': (1, 2), }", "\x00\x3c\x00\xc0"), Matrix{[]float32{1, -2}, 1, 2}},
		{"float16, big end first", file("{'descr': '>f2', 'fortran_order': False, 'shape': (1, 2)}\n", "\x3c\x00\xc0\x00"), Matrix{[]float32{1, -2}, 1, 2}},
		{"float32", file(`{"shape": (2,1), "descr": "<f4", "fortran_order": False}`, "\x00\x00\x80\x3f\x00\x00\x00\xc0"), Matrix{[]float32{1, -2}, 2, 1}},
		{"float64", file("{'descr': '>f8', 'fortran_order': True, 'shape': (1, 1), }", "\x3f\xf0\x00\x00\x00\x00\x00\x00"), Matrix{[]float32{1}, 1, 1}},
		{"columns first", file("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 2), }", "\x00\x3c\x00\xc0\x00\x40\x00\x00"), Matrix{[]float32{1, 2, -2, 0}, 2, 2}},
	} {
		got, err := decode(tc.bytes)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, %v, want %v", tc.name, got, err, tc.want)
		}
	}
	good := "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }"
	swap := func(old, with string) []byte { return file(strings.Replace(good, old, with, 1), "12345678") }
	for want, b := range map[string][]byte{
		"numpy.save":          []byte("PK\x03\x04 a zip file"),
		"it does not start":   {},
		"version 9":           []byte(magic + "\x09\x00\x00\x00"),
		"header is cut":       file(good, "")[:30],
		"too large":           []byte(magic + "\x02\x00\xff\xff\xff\xff"),
		"not a dictionary":    swap("{", "["),
		"not understood at":   swap("'descr':", "descr:"),
		"twice":               swap("'shape'", "'descr': '<f4', 'descr'"),
		"says no \"shape\"":   swap("'shape': (2, 1), ", ""),
		"unknown":             swap("'shape'", "'shop'"),
		"\"<i8\"":             swap("<f4", "<i8"),
		"\"|S4\"":             swap("<f4", "|S4"),
		"fortran_order is":    swap("False", "Maybe"),
		"not a tuple":         swap("(2, 1)", "2"),
		"shape \"(2, -1)\"":   swap("(2, 1)", "(2, -1)"),
		"3 dimensions":        swap("(2, 1)", "(2, 1, 1)"),
		"1 dimensions":        swap("(2, 1)", "(2,)"),
		"cut off or damaged":  swap("(2, 1)", "(2, 2)"),
		"8 bytes are there":   swap("(2, 1)", "(1, 1)"),
		"no elements":         swap("(2, 1)", "(0, 5)"),
		"9223372036854775807": swap("(2, 1)", "(9223372036854775807, 2)"),
	} {
		if _, err := decode(b); !errors.Is(err, ErrNPY) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

// TestWriteNPY reads what was written, also with another reader.
func TestWriteNPY(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.npy")
	m := Matrix{make([]float32, 300*77), 300, 77}
	for i := range m.Data {
		m.Data[i] = float32(i) / 7
	}
	if err := WriteNPY(path, m); err != nil {
		t.Fatal(err)
	}
	got, err := ReadNPY(path)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("read %d x %d: %v", got.Rows, got.Dim, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := npy.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var other []float32
	if err := r.Read(&other); err != nil || !slices.Equal(other, m.Data) || !slices.Equal(r.Header.Descr.Shape, []int{300, 77}) {
		t.Errorf("npyio reads another matrix, of shape %v: %v", r.Header.Descr.Shape, err)
	}
	if (len(b)-4*len(m.Data))%64 != 0 {
		t.Errorf("the elements start at byte %d", len(b)-4*len(m.Data))
	}
	if err := WriteNPY(path, Matrix{nil, 1, 1}); err == nil {
		t.Error("a matrix without its numbers was written")
	}
	if err := WriteNPY(filepath.Join(t.TempDir(), "none", "f.npy"), m); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := ReadNPY(filepath.Dir(path)); !errors.Is(err, ErrNPY) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := ReadNPY(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestWriteRows: a row that fails leaves no file.
func TestWriteRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.npy")
	failed := errors.New("failed")
	for rows, want := range map[int]error{3: failed, 0: ErrNPY} {
		if _, err := writeRows(path, rows, 2, func(i int, _ []float32) error { return failed }); !errors.Is(err, want) {
			t.Errorf("%d rows: %v", rows, err)
		}
		if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) > 0 {
			t.Errorf("%v, %v", files, err)
		}
	}
}

func TestWriteLabels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.csv")
	unknown := reid.Label{PID: reid.Unknown, Camera: reid.Unknown}
	rows := []Row{{Name: "a,b.jpg", Label: reid.Label{PID: "-1", Camera: "3"}, Line: 2}, {Name: "c.jpg", Label: unknown, Line: 3}}
	for want, change := range map[string]func(){
		"name,pid,camid\n\"a,b.jpg\",-1,3\nc.jpg,,\n":                      func() {},
		"name,pid,camid,track\n\"a,b.jpg\",-1,3,\nc.jpg,,,t 1\n":           func() { rows[1].Track = "t 1" },
		"name,pid,camid,track,time\n\"a,b.jpg\",-1,3,,\nc.jpg,,,t 1,9 h\n": func() { rows[1].Track, rows[1].Time = "t 1", "9 h" },
	} {
		rows[1].Track, rows[1].Time = "", ""
		change()
		if err := WriteLabels(path, rows); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if got, err := ReadList(path); err != nil || !reflect.DeepEqual(got, rows) {
			t.Errorf("%+v, %v, want %+v", got, err, rows)
		}
	}
	if err := WriteLabels(filepath.Join(path, "none"), rows); err == nil {
		t.Error("written into a file")
	}
}

// TestReadsNpyio reads what another writer wrote.
func TestReadsNpyio(t *testing.T) {
	var buf bytes.Buffer
	if err := npy.Write(&buf, mat.NewDense(2, 3, []float64{1, 2, 3, 4, 5, 6})); err != nil {
		t.Fatal(err)
	}
	got, err := decode(buf.Bytes())
	if want := (Matrix{[]float32{1, 2, 3, 4, 5, 6}, 2, 3}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzDecodeNPY(f *testing.F) {
	f.Add(file("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 2), }", "12345678"))
	f.Add(file("{'descr': '>f8', 'fortran_order': False, 'shape': (1, 1), }", "12345678"))
	f.Add([]byte(magic + "\x02\x00\x04\x00\x00\x00{}  "))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		if len(m.Data) != m.Rows*m.Dim || len(m.Data)*2 > len(b) {
			t.Fatalf("%d numbers, %d x %d, of %d bytes", len(m.Data), m.Rows, m.Dim, len(b))
		}
		again, err := decode(encode(t, m))
		same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
		if err != nil || again.Rows != m.Rows || again.Dim != m.Dim || !slices.EqualFunc(again.Data, m.Data, same) {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

func TestDecodeLabels(t *testing.T) {
	text := "\ufeffcamid,path,pid,time,track,split\n1,a/b.jpg,-1,,7,test\n\n 2,\"c,d.jpg\",0,12:00,,\n"
	got, err := decodeLabels([]byte(text), "l.csv", true)
	want := []Row{{"a/b.jpg", reid.Label{PID: "-1", Camera: "1"}, "test", "7", "", 2}, {"c,d.jpg", reid.Label{PID: "0", Camera: "2"}, "", "", "12:00", 4}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                                      "row 1: bad columns: the file is empty",
		"name,pid\n":                            "row 1: bad columns: there is no column camid",
		"a.jpg,1,2\n":                           `row 1: bad columns: "a.jpg" is not one of name`,
		"name,path,pid,camid\n":                 "two are called name or path",
		"name,pid,camid\na,1,2\nb,\"x\ny\",2\n": `row 3: bad row: the pid: bad label: identity "x\ny"`,
		"name,pid,camid\na,-2,2\n":              `row 2: bad row: the pid: bad label: identity -2`,
		"name,pid,camid\na,1,-1\n":              `row 2: bad row: the camid: bad label: camera -1`,
		"name,pid,camid\n ,1,1\n":               "row 2: bad row: the name of the image is empty",
		"name,pid,camid\na\xff,1,1\n":           "row 2: bad row: the name",
		"name,pid,camid\na,1,\n":                "row 2: bad row: the camid is empty",
		"name,pid,camid\na,-99999999999,1\n":    "row 2",
		"name,pid,camid\na,1,1\nb,\"1\n":        "line 3",
		"name,pid,camid\na,1,1\nb,1\n":          "line 3",
		"name,pid,camid\n\"a\nb\",1,1\nc,,1\n":  "row 4",
	} {
		_, err := decodeLabels([]byte(text), "l.csv", true)
		var row *RowError
		var parse *csv.ParseError
		if err == nil || !strings.HasPrefix(err.Error(), "l.csv: ") || !strings.Contains(err.Error(), want) || !errors.As(err, &row) && !errors.As(err, &parse) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestReadList reads rows of people who are not known.
func TestReadList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.csv")
	if err := os.WriteFile(path, []byte("path,pid,camid,track\na.jpg,,,t1\nb.jpg,anna,,\nc.jpg,,2,\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadList(path)
	want := []Row{
		{Name: "a.jpg", Label: reid.Label{PID: reid.Unknown, Camera: reid.Unknown}, Track: "t1", Line: 2},
		{Name: "b.jpg", Label: reid.Label{PID: "anna", Camera: reid.Unknown}, Line: 3},
		{Name: "c.jpg", Label: reid.Label{PID: reid.Unknown, Camera: "2"}, Line: 4},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ReadLabels(path); !errors.Is(err, ErrRow) || !strings.Contains(err.Error(), "l.csv: row 2") || !strings.Contains(err.Error(), "pid is empty") {
		t.Errorf("%v", err)
	}
	if _, err := ReadList(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ReadList(os.DevNull); !errors.Is(err, files.ErrNotRegular) {
		t.Errorf("a device: %v", err)
	}
}

func FuzzDecodeLabels(f *testing.F) {
	f.Add("name,pid,camid\na.jpg,1,2\n")
	f.Add("camid,path,pid,split,track,time\n1,\"a\",-1,,,\n")
	f.Add("path,pid,camid\na,,\nb,1,\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := decodeLabels([]byte(text), "l.csv", false)
		for _, r := range list {
			pid, err := reid.ParseID(string(r.PID))
			camera, again := reid.ParseCamera(string(r.Camera))
			if err != nil || again != nil || pid != r.PID || camera != r.Camera || r.Name == "" || r.Line < 2 {
				t.Fatalf("%+v", r)
			}
		}
		rows, errKnown := decodeLabels([]byte(text), "l.csv", true)
		if errKnown == nil && (err != nil || !slices.Equal(rows, list)) {
			t.Fatalf("labels %+v, list %+v, %v", rows, list, err)
		}
		err = errKnown
		if err != nil && !strings.HasPrefix(err.Error(), "l.csv: ") {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.PID == reid.Unknown || r.Camera == reid.Unknown {
				t.Fatalf("%+v", r)
			}
		}
	})
}
