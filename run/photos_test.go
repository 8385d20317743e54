package run

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// imageFolder makes a folder of n dark and n bright images, a class each.
func imageFolder(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	if err := WritePhotos(dir, n); err != nil {
		t.Fatal(err)
	}
	return dir
}

// WritePhotos writes them; the examples use it, too.
func WritePhotos(dir string, n int) error {
	for class, name := range []string{"dark", "bright"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
		for i := range n {
			img := image.NewRGBA(image.Rect(0, 0, 12, 12))
			for p := range 12 * 12 {
				v := uint8(40 + 120*class + (7*i+p)%32)
				img.Set(p%12, p/12, color.RGBA{v, v / 2, 255 - v, 255})
			}
			f, err := os.Create(filepath.Join(dir, name, fmt.Sprintf("%d.png", i)))
			if err != nil {
				return err
			}
			if err := png.Encode(f, img); err != nil {
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}
