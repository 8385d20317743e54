package features

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/reid"
)

func TestLoadPart(t *testing.T) {
	dir, m := t.TempDir(), manifest()
	put := func(rows, dim int, labels string) {
		t.Helper()
		if err := WriteNPY(filepath.Join(dir, "query.npy"), Matrix{make([]float32, rows*dim), rows, dim}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "query.csv"), []byte("name,pid,camid\n"+labels), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(2, 4, "a,1,2\nb,,\n")
	if !PartWhole(dir, m, Query) || PartWhole(dir, m, Gallery) || PartWhole(dir, m, MultiQuery) {
		t.Error("the query part alone is whole")
	}
	s, rows, err := LoadPart(dir, m, Query)
	if err != nil || s.Dim != 4 || len(rows) != 2 || s.Labels[1].PID != reid.Unknown || s.Name != filepath.Join(dir, "query.npy") {
		t.Errorf("%+v, %+v, %v", s, rows, err)
	}
	refused := func(part string, is error, want string) {
		t.Helper()
		if _, _, err := LoadPart(dir, m, part); !errors.Is(err, is) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	refused(MultiQuery, reid.ErrEmpty, "multi_query: "+m.Data.Path+" has only query, gallery")
	refused(Gallery, os.ErrNotExist, "gallery.csv")
	put(3, 4, "a,1,2\nb,,\nc,1,1\n")
	refused(Query, reid.ErrCount, "has 3 rows")
	if PartWhole(dir, m, Query) {
		t.Error("whole with a row too many")
	}
	put(2, 3, "a,1,2\nb,,\n")
	refused(Query, reid.ErrDimension, "rows of 3 features")
	put(2, 4, "a,1,2\n")
	if PartWhole(dir, m, Query) {
		t.Error("whole without a label")
	}
	refused(Query, reid.ErrCount, "has 1")
}
