package imagefolder

import "github.com/deepmutual/dml/dataset"

// Folder is the images of a folder, or of one of its splits.
type Folder struct {
	*dataset.Files
	skipped int
}

// Skipped is the number of files in class folders that are not images.
func (f *Folder) Skipped() int { return f.skipped }
