package dataset_test

import (
	"fmt"
	"image"
	"image/color"
	"testing"

	"github.com/deepmutual/dml/dataset"
)

// TestFromImages has more classes than a byte could count.
func TestFromImages(t *testing.T) {
	const n = 300
	var images []image.Image
	var labels []int
	var classes []string
	for i := range n {
		m := image.NewNRGBA(image.Rect(5, 5, 8, 7))
		for y := 5; y < 7; y++ {
			for x := 5; x < 8; x++ {
				m.Set(x, y, color.NRGBA{uint8(i), uint8(i >> 8), uint8(x), 255})
			}
		}
		images, labels, classes = append(images, m), append(labels, n-1-i), append(classes, fmt.Sprint(i))
	}
	ds, err := dataset.FromImages(images, labels, classes, dataset.Shape{})
	if err != nil {
		t.Fatal(err)
	}
	if ds.Len() != n || ds.Label(0) != 299 || len(ds.Classes()) != n {
		t.Errorf("%d images, label %d of %d classes", ds.Len(), ds.Label(0), len(ds.Classes()))
	}
	m, err := ds.Image(260)
	if err != nil || m.Validate() != nil || m.Width != 3 || m.Height != 2 || m.Pix[0] != 4 || m.Pix[1] != 1 || m.Pix[2] != 5 || m.Pix[5] != 6 {
		t.Errorf("%+v, %v", m, err)
	}
	shape := dataset.Shape{Channels: 1, Height: 4, Width: 4}
	grey, err := dataset.FromImages(append(images, image.NewGray(image.Rect(0, 0, 9, 9))), append(labels, 0), classes, shape)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := dataset.ShapeOf(grey); err != nil || got != shape {
		t.Errorf("%v, %v", got, err)
	}
	for name, ds := range map[string]func() (*dataset.Memory, error){
		"none":           func() (*dataset.Memory, error) { return dataset.FromImages(nil, nil, classes, shape) },
		"few labels":     func() (*dataset.Memory, error) { return dataset.FromImages(images, labels[:3], classes, shape) },
		"label range":    func() (*dataset.Memory, error) { return dataset.FromImages(images, labels, classes[:299], shape) },
		"negative label": func() (*dataset.Memory, error) { return dataset.FromImages(images[:1], []int{-1}, classes, shape) },
		"nil image": func() (*dataset.Memory, error) {
			return dataset.FromImages([]image.Image{nil}, []int{0}, classes, shape)
		},
		"empty image": func() (*dataset.Memory, error) {
			return dataset.FromImages([]image.Image{image.NewGray(image.Rectangle{})}, []int{0}, classes, shape)
		},
		"two sizes": func() (*dataset.Memory, error) {
			return dataset.FromImages([]image.Image{images[0], image.NewGray(image.Rect(0, 0, 1, 1))}, []int{0, 0}, classes, dataset.Shape{})
		},
		"bad shape": func() (*dataset.Memory, error) {
			return dataset.FromImages(images, labels, classes, dataset.Shape{Channels: 2})
		},
	} {
		if _, err := ds(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
