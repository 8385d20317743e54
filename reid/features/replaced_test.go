//go:build unix

package features

import (
	"errors"
	"image"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestReplacedFolder: the folder that an extraction works in is renamed, and
// another, of other features, is made there meanwhile, from its beginning to its
// end or only begun: the first fails, and the second is what it is alone.
func TestReplacedFolder(t *testing.T) {
	src := open(t, market(t))
	other := sumsRecipe()
	other.Flip = !other.Flip
	alone := filepath.Join(t.TempDir(), "f")
	if _, err := Extract(t.Context(), alone, by(other, sums), src, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	for at := range 6 { // images that were embedded before
		dir := filepath.Join(t.TempDir(), "f")
		seen := 0
		inside := embedFunc(func(m image.Image) ([]float32, error) {
			if seen == at {
				if err := os.Rename(dir, dir+".old"); err != nil {
					t.Fatal(err)
				}
				if _, err := Extract(t.Context(), dir, by(other, sums), src, ExtractOptions{}); err != nil {
					t.Errorf("the second: %v", err)
				}
			}
			seen++
			return sums(m)
		})
		_, err := Extract(t.Context(), dir, by(sumsRecipe(), inside), src, ExtractOptions{Workers: 1, Batch: 2})
		if seen > at && !errors.Is(err, ErrReplaced) {
			t.Errorf("after %d images: %v", at, err)
		}
		if seen > at && !reflect.DeepEqual(contents(t, dir), contents(t, alone)) {
			t.Errorf("after %d images: the second folder has other files", at)
		}
	}
}
