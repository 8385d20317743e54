//go:build unix

package features

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPathsToNothing: links to nothing and in circles, pipes, devices and paths
// that cannot be are broken images, in folders and in lists.
func TestPathsToNothing(t *testing.T) {
	data := t.TempDir()
	gallery := filepath.Join(data, "bounding_box_test")
	write(t, filepath.Join(gallery, "0001_c1s1_000001_00.png"), picture(t, 1))
	for name, target := range map[string]string{"0002_c1s1_000001_00.png": "nothing", "0003_c1s1_000001_00.png": "0003_c1s1_000001_00.png", "0004_c1s1_000001_00.png": os.DevNull} {
		if err := os.Symlink(target, filepath.Join(gallery, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(gallery, "0005_c1s1_000001_00.png"), 0o644); err != nil {
		t.Skipf("skipped: named pipes cannot be made here: %v", err)
	}
	folder := map[string]string{"0002": "no such file", "0003": "symbolic links", "0004": "special file", "0005": "special file"}
	list := filepath.Join(data, "list.csv")
	long := strings.Repeat("l", 300) + ".png"
	write(t, list, []byte("path,pid,camid\nbounding_box_test/0001_c1s1_000001_00.png,1,1\n"+
		"list.csv/a.png,2,1\n"+long+",3,1\n\x00.png,4,1\nbounding_box_test,5,1\n"))
	for place, want := range map[string]map[string]string{
		data: folder,
		list: {"list.csv/a.png": "not a directory", long: "name too long", "\x00.png": "invalid argument", "bounding_box_test": "folder"},
	} {
		m, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), sums), open(t, place), ExtractOptions{})
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		if p, _ := m.Part(Gallery); p.Images != 5 || p.Skipped != 4 || p.Rows != 1 {
			t.Errorf("%s: %+v", place, m.Parts)
		}
		for _, s := range m.Skipped {
			name := strings.TrimPrefix(s.Image, "bounding_box_test/")
			reason, there := want[name]
			if !there {
				reason = want[name[:4]]
			}
			if reason == "" || !strings.Contains(s.Reason, reason) || strings.Contains(s.Reason, data) {
				t.Errorf("%q: %q, want %q", s.Image, s.Reason, reason)
			}
		}
	}
}
