package features_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// Features in NumPy files, with their labels beside them, are loaded and evaluated.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "features")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	query, gallery := filepath.Join(dir, "q.npy"), filepath.Join(dir, "g.npy")
	write(query, "q.jpg,7,1\n", 1, 0)
	write(gallery, "a.jpg,8,2\nb.jpg,7,2\n", .1, .9, .9, .1)

	ctx := context.Background()
	files := map[string]features.File{features.Query: {NPY: query}, features.Gallery: {NPY: gallery}}
	set, err := features.Load(ctx, features.Source{Files: files}, features.LoadOptions{Labelled: true})
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	r, err := reid.Evaluate(ctx, set.Query.Set, set.Gallery.Set, reid.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("mAP", r.MAP)
	// Output: mAP 1
}

// write writes rows of two features, and the CSV file of their labels.
func write(npy, labels string, rows ...float32) {
	if err := features.WriteNPY(npy, features.Matrix{Data: rows, Rows: len(rows) / 2, Dim: 2}); err != nil {
		log.Fatal(err)
	}
	csv := npy[:len(npy)-len("npy")] + "csv"
	if err := os.WriteFile(csv, []byte("name,pid,camid\n"+labels), 0o644); err != nil {
		log.Fatal(err)
	}
}
