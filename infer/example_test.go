//go:build cgo

package infer_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
)

// TestMain leaves the examples out where ONNX Runtime's library is absent:
// they cannot skip themselves.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := ortlib.Find(""); err != nil && flag.Lookup("test.skip").Value.String() == "" {
		fmt.Fprintf(os.Stderr, "examples skipped: %v\n", err)
		if err := flag.Set("test.skip", "^Example"); err != nil {
			log.Fatal(err)
		}
	}
	os.Exit(m.Run())
}

// folder writes two students, student-1.onnx and student-2.onnx, and an image,
// cat.png, to a temporary folder.
func folder() string {
	dir, err := os.MkdirTemp("", "infer")
	if err != nil {
		log.Fatal(err)
	}
	net, err := models.Build("convnet", models.Shape{C: 3, H: 16, W: 16}, 3)
	if err != nil {
		log.Fatal(err)
	}
	files := make(map[string][]byte)
	for i := range 2 {
		weights, err := net.Init(uint64(i))
		if err != nil {
			log.Fatal(err)
		}
		files[fmt.Sprintf("student-%d.onnx", i+1)], err = export.Marshal(net, weights, export.Options{Classes: []string{"cat", "dog", "emu"}})
		if err != nil {
			log.Fatal(err)
		}
	}
	picture := image.NewNRGBA(image.Rect(0, 0, 40, 30))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(i)
	}
	picture.Set(0, 0, color.White)
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		log.Fatal(err)
	}
	files["cat.png"] = encoded.Bytes()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return dir
}

// Classify an image.
func ExampleOpen() {
	dir := folder() // holds files that dml export wrote, and an image
	defer os.RemoveAll(dir)

	m, err := infer.Open(infer.Options{TopK: 1}, filepath.Join(dir, "student-1.onnx"))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	predictions, err := m.Predict(context.Background(), infer.FromFile(filepath.Join(dir, "cat.png")))
	if err != nil {
		log.Fatal(err)
	}
	best := predictions[0].Top[0]
	fmt.Printf("%s with probability %.2f\n", best.Label, best.Probability)
	// Output: emu with probability 0.48
}

// Replace a model while it works.
func ExampleModel_Replace() {
	dir := folder()
	defer os.RemoveAll(dir)

	m := opened(filepath.Join(dir, "student-1.onnx"))
	defer m.Close()
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() { predict(m, filepath.Join(dir, "cat.png")) }) // by the first student or the second
	}
	if err := m.Replace(opened(filepath.Join(dir, "student-2.onnx"))); err != nil {
		log.Fatal(err)
	}
	fmt.Println(predict(m, filepath.Join(dir, "cat.png")))
	calls.Wait()
	fmt.Println(m.Stats().Calls, "calls, failed:", m.Stats().Failed)
	// Output:
	// cat 0.35
	// 5 calls, failed: 0
}

func opened(path string) *infer.Model {
	m, err := infer.Open(infer.Options{}, path)
	if err != nil {
		log.Fatal(err)
	}
	return m
}

func predict(m *infer.Model, path string) string {
	predictions, err := m.Predict(context.Background(), infer.FromFile(path))
	if err != nil {
		log.Fatal(err)
	}
	best := predictions[0].Top[0]
	return fmt.Sprintf("%s %.2f", best.Label, best.Probability)
}

func ExampleOpen_ensemble() {
	dir := folder()
	defer os.RemoveAll(dir)

	students := []string{filepath.Join(dir, "student-1.onnx"), filepath.Join(dir, "student-2.onnx")}
	m, err := infer.Open(infer.Options{Ensemble: infer.Ensemble{Weights: []float64{2, 1}}}, students...)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	image := infer.FromFile(filepath.Join(dir, "cat.png"))
	predictions, err := m.Predict(context.Background(), image)
	if err != nil {
		log.Fatal(err)
	}
	for _, score := range predictions[0].Top {
		fmt.Printf("%s %.2f\n", score.Label, score.Probability)
	}
	vectors, err := m.Embed(context.Background(), image)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors[0]), "features")
	// Output:
	// emu 0.43
	// cat 0.29
	// dog 0.28
	// 128 features
}
