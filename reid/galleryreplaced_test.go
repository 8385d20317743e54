//go:build unix

package reid

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
)

// TestGalleryReplaced: a backup of 3 images takes the place of a gallery of 13
// that a service has open.
func TestGalleryReplaced(t *testing.T) {
	const dim = 4
	r := rand.New(rand.NewPCG(6, 6))
	fill := func(g *Gallery, n int) {
		if _, err := g.Add(people(r, 0, n), normal(r, n*dim), RefuseExisting); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	first, backup := newGallery(t, dim), newGallery(t, dim)
	fill(first, 13)
	fill(backup, 3)
	service := openGallery(t, first.path)
	if err := errors.Join(os.Rename(first.path, first.path+".old"), os.Rename(backup.path, first.path)); err != nil {
		t.Fatal(err)
	}
	if err := service.Refresh(); !errors.Is(err, ErrGalleryReplaced) {
		t.Errorf("refresh: %v", err)
	}
	if _, err := service.Add(people(r, 100, 1), normal(r, dim), RefuseExisting); !errors.Is(err, ErrGalleryReplaced) {
		t.Errorf("add: %v", err)
	}
	if _, err := service.Remove(Filter{Names: []string{"image 0"}}); !errors.Is(err, ErrGalleryReplaced) {
		t.Errorf("remove: %v", err)
	}
	for path, images := range map[string]int{first.path: 3, first.path + ".old": 13} {
		g := openGallery(t, path)
		if err := g.Verify(context.Background()); err != nil || g.Len() != images {
			t.Errorf("%s: %d images, %v", path, g.Len(), err)
		}
	}
}
