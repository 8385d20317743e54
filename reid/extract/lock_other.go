//go:build !unix

package extract

import (
	"os"
	"path/filepath"
)

// lock does not keep other processes out where the system has no advisory
// locks; it only makes the file.
func lock(partial string) (*os.File, error) {
	return os.OpenFile(filepath.Join(partial, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
}
