package features_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// Features are written, read with their labels, and evaluated.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "features")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	write := func(name, labels string, rows ...float32) (reid.Set, error) {
		npy, csv := filepath.Join(dir, name+".npy"), filepath.Join(dir, name+".csv")
		if err := features.WriteNPY(npy, features.Matrix{Data: rows, Rows: len(rows) / 2, Dim: 2}); err != nil {
			return reid.Set{}, err
		}
		if err := os.WriteFile(csv, []byte("name,pid,camid\n"+labels), 0o644); err != nil {
			return reid.Set{}, err
		}
		set, _, err := features.Load(npy, csv)
		return set, err
	}
	query, err := write("query", "q.jpg,7,1\n", 1, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	gallery, err := write("gallery", "a.jpg,8,2\nb.jpg,7,2\n", .1, .9, .9, .1)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := reid.Evaluate(context.Background(), query, gallery, reid.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("mAP", r.MAP)
	// Output: mAP 1
}
