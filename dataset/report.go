package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report says what data was taken for.
type Report struct {
	Kind Kind
	Path string // the folder or file that holds it, perhaps below the one given
	// LeftAside are folders at hand that are not used: beside Path, or in it.
	LeftAside []string
	// Skipped files are not images that can be read: how many of each kind, by
	// the end of their names.
	Skipped map[string]int
}

// String is one line: "imagefolder in DIR; left aside: extra; skipped: 3 .txt".
func (r Report) String() string {
	line := fmt.Sprintf("%s in %s", r.Kind, r.Path)
	if len(r.LeftAside) > 0 {
		line += "; left aside: " + few(r.LeftAside)
	}
	if len(r.Skipped) > 0 {
		var skipped []string
		for _, kind := range slices.Sorted(maps.Keys(r.Skipped)) {
			skipped = append(skipped, fmt.Sprintf("%d %s", r.Skipped[kind], kind))
		}
		line += "; skipped, not images: " + few(skipped)
	}
	return line
}

// few joins the first of a list.
func few(items []string) string {
	const most = 5
	if len(items) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
	}
	return strings.Join(items, ", ")
}
