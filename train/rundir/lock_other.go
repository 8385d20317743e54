//go:build !unix

package rundir

import "os"

// lock does not keep other processes out where the system has no advisory
// locks; it only makes the file.
func (d *Dir) lock() error {
	f, err := os.OpenFile(d.file(lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	d.locked = f
	return err
}
