package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/internal/files/filestest"
)

// TestWholeOrAsBefore replaces a file, in parts, once for every operation that it
// makes on the disk, with an error there, a short write, and a crash, of which
// every state is made: the file is the old one or the new one, and the new one for
// sure once Commit has returned.
func TestWholeOrAsBefore(t *testing.T) {
	const before, after = "old content", "new content, longer"
	replace := func(disk *filestest.Disk, path string) error {
		f, err := files.Writer{System: disk}.Create(path, 0o644)
		if err != nil {
			return err
		}
		for _, part := range strings.SplitAfter(after, " ") {
			if _, err := f.Write([]byte(part)); err != nil {
				return errors.Join(err, f.Discard())
			}
		}
		return f.Commit()
	}
	injections, states := 0, 0
	for _, fault := range []filestest.Fault{filestest.Fail, filestest.Short, filestest.Crash} {
		for at, all := 1, 1; at <= all+1; at++ { // the last has no fault, or crashes after the end
			root := t.TempDir()
			path := filepath.Join(root, "file")
			if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
			disk, err := filestest.New(root)
			if err != nil {
				t.Fatal(err)
			}
			disk.Inject(at, fault)
			err = replace(disk, path)
			all = max(all, disk.Operations())
			injections++
			if fault != filestest.Crash {
				got, broken := os.ReadFile(path)
				entries, _ := os.ReadDir(root)
				if broken != nil || string(got) != before && string(got) != after || err == nil && string(got) != after || len(entries) != 1 {
					t.Errorf("operation %d, fault %d: %v: the file holds %q, the folder %d files", at, fault, err, got, len(entries))
				}
				continue
			}
			for what, place := range disk.States(t.TempDir(), 64, uint64(at)) {
				states++
				got, broken := os.ReadFile(filepath.Join(place, "file"))
				if broken != nil || string(got) != before && string(got) != after || err == nil && string(got) != after {
					t.Errorf("%s: %v, the file holds %q, %v", what, err, got, broken)
				}
			}
		}
	}
	t.Logf("%d injections, %d states of the disk after crashes", injections, states)
}
