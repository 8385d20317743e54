package dataset

// Report says what data was taken for.
type Report struct {
	Kind Kind
	Path string // the folder or file that holds it, perhaps below the one given
	// Skipped files are not images that can be read: how many of each kind, by
	// the end of their names.
	Skipped map[string]int
}
