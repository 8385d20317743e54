package reid_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/deepmutual/dml/reid"
)

// Crops are embedded, added to a gallery, and searched for.
func Example() {
	ctx := context.Background()
	dir, remove := folder()
	defer remove()
	check(reid.CreateGallery(dir, 3, "mean colours"))
	gallery, err := reid.OpenGallery(dir, "mean colours")
	check(err)
	defer gallery.Close()
	vectors, err := colours{}.EmbedImages(ctx, coat(200, 10, 10), coat(10, 200, 10), coat(180, 20, 30))
	check(err)
	_, err = gallery.Add([]reid.Entry{{Name: "red.jpg"}, {Name: "green.jpg"}}, slices.Concat(vectors[:2]...), reid.RefuseExisting)
	check(err)
	hits, err := gallery.Search(ctx, vectors[2], reid.SearchOptions{Top: 1})
	check(err)
	fmt.Printf("%s at %.2f\n", hits[0][0].Name, hits[0][0].Distance)
	// Output: red.jpg at 0.01
}

// colours is a reid.Embedder in place of a network: of an image's mean colour.
type colours struct{}

func (colours) EmbedImages(_ context.Context, images ...image.Image) (out [][]float32, err error) {
	for _, m := range images {
		sum := make([]float32, 3)
		for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
			for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
				r, g, b, _ := m.At(x, y).RGBA()
				sum[0], sum[1], sum[2] = sum[0]+float32(r), sum[1]+float32(g), sum[2]+float32(b)
			}
		}
		out = append(out, sum)
	}
	return out, nil
}

// coat is a crop of somebody in one colour.
func coat(r, g, b uint8) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 8, 16))
	draw.Draw(m, m.Bounds(), image.NewUniform(color.RGBA{r, g, b, 255}), image.Point{}, draw.Src)
	return m
}

// folder is the path of a folder to make, and removes it.
func folder() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "gallery")
	check(err)
	return filepath.Join(dir, "people"), func() { check(os.RemoveAll(dir)) }
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// The features of four images of the gallery, two of them of the query's person.
func ExampleEvaluate() {
	query := reid.Set{
		Name: "query", Dim: 2, Features: []float32{1, 0},
		Labels: []reid.Label{{PID: "7", Camera: "1"}},
	}
	gallery := reid.Set{
		Name: "gallery", Dim: 2, Features: []float32{
			1, 0, // the query's own camera: junk
			.9, .1,
			.8, .2,
			.1, .9,
		},
		Labels: []reid.Label{{PID: "7", Camera: "1"}, {PID: "7", Camera: "2"}, {PID: reid.Distractor, Camera: "2"}, {PID: "7", Camera: "3"}},
	}
	r, err := reid.Evaluate(context.Background(), query, gallery, reid.Options{Best: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("mAP %.4f, trapezoidal %.4f, rank 1 %.2f\n", r.MAP, r.MAPTrapezoidal, r.CMC[1])
	for _, m := range r.PerQuery[0].Best {
		fmt.Printf("row %d at %.4f, match: %v\n", m.Gallery, m.Distance, m.Good)
	}
	// Output:
	// mAP 0.8333, trapezoidal 0.7917, rank 1 1.00
	// row 1 at 0.0061, match: true
	// row 2 at 0.0299, match: false
}

// Rankings by distances that were computed elsewhere.
func ExampleEvaluateDistances() {
	distances := []float32{.3, .1, .2}
	query := []reid.Label{{PID: "1", Camera: "1"}}
	gallery := []reid.Label{{PID: "1", Camera: "2"}, {PID: "2", Camera: "2"}, {PID: "1", Camera: "3"}}
	r, err := reid.EvaluateDistances(context.Background(), distances, query, gallery, reid.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("first match at rank %d, mAP %.4f\n", r.PerQuery[0].First, r.MAP)
	// Output: first match at rank 2, mAP 0.5833
}

// A gallery on disk, of images of two features.
func ExampleOpenGallery() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "people")
	const model = "SHA-256 of the model, and how images are prepared"
	if err := reid.CreateGallery(path, 2, model); err != nil {
		log.Fatal(err)
	}
	g, err := reid.OpenGallery(path, model)
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	if _, err := g.Add([]reid.Entry{
		{Name: "a.jpg", Label: reid.Label{PID: "7", Camera: "1"}, Time: noon},
		{Name: "b.jpg", Label: reid.Label{PID: "7", Camera: "2"}, Time: noon.Add(time.Minute)},
		{Name: "c.jpg", Label: reid.Label{PID: reid.Unknown, Camera: "2"}, Time: noon.Add(time.Hour)},
	}, []float32{
		1, 0,
		.8, .6,
		0, 1,
	}, reid.RefuseExisting); err != nil {
		log.Fatal(err)
	}
	hits, err := g.Search(context.Background(), []float32{1, 0}, reid.SearchOptions{
		Top:    2,
		Filter: reid.Filter{NotCameras: []reid.ID{"1"}, Since: noon},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hits[0] {
		fmt.Printf("%s, person %q, at %.2f\n", h.Name, h.PID, h.Distance)
	}
	// Output:
	// b.jpg, person "7", at 0.20
	// c.jpg, person "", at 1.00
}
