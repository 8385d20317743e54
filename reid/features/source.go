package features

import "fmt"

// Source says where features come from. Exactly one of Folder, Files and Images
// is set.
type Source struct {
	// Folder that Extract made.
	Folder string
	// Files are bare files by part: Query, Gallery and MultiQuery.
	Files map[string]File
	// RecipeFrom is a folder of features that says how those of Files were made.
	// Default: the folder of each file, where that is one of features of as many
	// numbers; else nothing does.
	RecipeFrom string
	// Images, of which Embedder makes features, as Extract says. They are held in
	// memory.
	Images   *Images
	Embedder Embedder
	Extract  ExtractOptions
	// Queries, if set, is where the queries come from, instead of those of the
	// source: its part Query.
	Queries *Source
}

// File is a NumPy file of features, a row an image, with the CSV file of their
// labels.
type File struct {
	NPY string
	// CSV. Default: NPY with the extension .csv; queries without labels are
	// called after their rows.
	CSV string
}

func (s Source) validate() error {
	forms := 0
	for _, there := range []bool{s.Folder != "", s.Files != nil, s.Images != nil} {
		if there {
			forms++
		}
	}
	switch {
	case forms != 1:
		return fmt.Errorf("%w: it names %d of a folder, files and images; name one", ErrSource, forms)
	case s.Images != nil && s.Embedder == nil:
		return fmt.Errorf("%w: images without what makes features of them", ErrSource)
	}
	return nil
}
