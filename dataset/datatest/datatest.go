// Package datatest helps to test code that works on datasets.
package datatest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/dataset"
)

// Random returns n images of independent uniform pixels, whose labels take
// turns, in memory.
func Random(t testing.TB, n, classes int, shape dataset.Shape, seed uint64) *dataset.Memory {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	pix := make([]uint8, n*shape.Size())
	for i := range pix {
		pix[i] = uint8(r.Uint32())
	}
	labels := make([]int, n)
	for i := range labels {
		labels[i] = i % classes
	}
	names := make([]string, classes)
	for i := range names {
		names[i] = fmt.Sprintf("class%d", i)
	}
	ds, err := dataset.NewMemory(fmt.Sprintf("random-%d", seed), names, shape, pix, labels)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// Shared returns the path of a file or folder of real data, given below
// shared/data in the folder that holds the repository. Where it is absent the
// test is skipped, with the reason.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			t.Skip("real data not found: the test does not run inside the repository")
		}
		root = parent
	}
	path := filepath.Join(append([]string{root, "..", "shared", "data"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("real data not found: %v", err)
	}
	return path
}
