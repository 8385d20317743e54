package reid

import (
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/deepmutual/dml/reid/internal/store"
)

// GalleryInfo describes a gallery.
type GalleryInfo struct {
	Path        string `json:"path"`
	Fingerprint string `json:"fingerprint"`
	Dim         int    `json:"dim"`
	Images      int    `json:"images"` // without removed ones
	// Removed images, whose room Compact gives back.
	Removed    int `json:"removed"`
	Identities int `json:"identities"` // people: without junk, distractors and unknown ones
	// Cameras in ascending order, without unknown ones.
	Cameras []ID `json:"cameras"`
	// First and Last of the known times; zero if there are none.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Note is that of SetNote.
	Note []byte `json:"-"`
	// Bytes on disk, by the lengths of the files.
	Bytes int64 `json:"bytes"`
}

// ReadGalleryInfo describes a gallery of any fingerprint.
func ReadGalleryInfo(path string) (GalleryInfo, error) {
	s, err := store.Open(path)
	if err != nil {
		return GalleryInfo{}, fault(err)
	}
	g := &Gallery{path: path, store: s}
	info, err := g.Info()
	return info, errors.Join(err, g.Close())
}

// Info describes the gallery.
func (g *Gallery) Info() (GalleryInfo, error) {
	if err := g.enter(); err != nil {
		return GalleryInfo{}, err
	}
	defer g.leave()
	v := g.store.View()
	info := GalleryInfo{Path: g.path, Fingerprint: g.Fingerprint(), Dim: g.Dim(), Images: v.Live, Removed: v.Rows() - v.Live, Note: v.Note, Cameras: []ID{}}
	people, cameras := make(map[int32]bool), make(map[int32]bool)
	for i := range v.Rows() {
		if v.IsRemoved(i) {
			continue
		}
		people[v.PIDs[i]], cameras[v.Cameras[i]] = true, true
		if t := entryOf(v.Row(i)).Time; !t.IsZero() {
			if info.First.IsZero() || t.Before(info.First) {
				info.First = t
			}
			if t.After(info.Last) {
				info.Last = t
			}
		}
	}
	for code := range people {
		if idOf(v.Key(code), unknownPID).Person() {
			info.Identities++
		}
	}
	for code := range cameras {
		if id := idOf(v.Key(code), unknownCamera); id != Unknown {
			info.Cameras = append(info.Cameras, id)
		}
	}
	slices.SortFunc(info.Cameras, ID.Compare)
	var err error
	info.Bytes, err = g.store.Bytes()
	return info, err
}

// Dim is the number of features of an image.
func (g *Gallery) Dim() int { return g.store.Header().Dim }

// Fingerprint is that of what makes the features.
func (g *Gallery) Fingerprint() string { return g.store.Header().Fingerprint }

// Len is the number of images.
func (g *Gallery) Len() int { return g.store.View().Live }

// Names returns the names of all images, in the order in which they were added.
func (g *Gallery) Names() []string {
	v := g.store.View()
	out := make([]string, 0, v.Live)
	for i, name := range v.Names {
		if !v.IsRemoved(i) {
			out = append(out, name)
		}
	}
	return out
}

// Images iterates over the rows of the images that the filter matches, and what
// is known of them, as they were when it was called, in the order in which they
// were added. The gallery may be changed meanwhile.
func (g *Gallery) Images(f Filter) (iter.Seq2[int, Entry], error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	defer g.leave()
	m, err := f.compile()
	if err != nil {
		return nil, err
	}
	v := g.store.View()
	m.bind(v)
	return func(yield func(int, Entry) bool) {
		for i := range v.Rows() {
			if !v.IsRemoved(i) && m.matches(v, i) && !yield(i, entryOf(v.Row(i))) {
				return
			}
		}
	}, nil
}

// Note is what SetNote kept last, or nil. It is the caller's; dml keeps there
// which files make the features.
func (g *Gallery) Note() []byte { return append([]byte(nil), g.store.View().Note...) }
