package run_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/train"
)

// TestMain leaves the examples out where ONNX Runtime's library is absent:
// they cannot skip themselves.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := ortlib.Find(""); err != nil && flag.Lookup("test.skip").Value.String() == "" {
		fmt.Fprintf(os.Stderr, "examples skipped: %v\n", err)
		check(flag.Set("test.skip", "^Example"))
	}
	os.Exit(m.Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// photos makes a folder with dark/*.png and bright/*.png, and one for runs.
func photos() (images, runs string) {
	dir, err := os.MkdirTemp("", "run")
	check(err)
	images, runs = filepath.Join(dir, "photos"), filepath.Join(dir, "runs")
	check(run.WritePhotos(images, 20))
	return images, runs
}

// A folder of images becomes two students, which learn from each other, and these
// become one ONNX file, verified against the training code, that classifies.
func Example() {
	images, runs := photos()
	r, err := run.Start(context.Background(), run.Config{
		Data: run.DataConfig{Path: images}, Students: []run.StudentConfig{{Arch: "convnet"}, {Arch: "convnet"}}, Epochs: 3, Batch: 8,
	}, run.Options{Folder: runs})
	check(err)
	_, err = r.Train(context.Background(), train.Events{})
	check(err)
	files, err := r.Export(context.Background(), run.ExportOptions{Cohort: true})
	check(err)
	model, err := infer.Open(infer.Options{}, files[0].Path)
	check(err)
	answers, err := model.Predict(context.Background(), infer.FromFile(filepath.Join(images, "bright", "3.png")))
	check(err)
	fmt.Println(answers[0].Top[0].Label)
	check(errors.Join(model.Close(), r.Close(), os.RemoveAll(filepath.Dir(images))))
	// Output: bright
}

// trained makes a run and returns its folder.
func trained() string {
	images, runs := photos()
	r, err := run.Start(context.Background(), run.Config{
		Data: run.DataConfig{Path: images}, Students: []run.StudentConfig{{Arch: "convnet"}, {Arch: "convnet"}}, Epochs: 3, Batch: 8,
	}, run.Options{Folder: runs})
	check(err)
	_, err = r.Train(context.Background(), train.Events{})
	check(err)
	check(r.Close())
	return r.Path()
}

// The best students of a run, and their ensemble, on the test part of its data.
func ExampleRun_Evaluate() {
	path := trained()
	r, err := run.Open(path)
	check(err)
	scores, err := r.Evaluate(context.Background(), run.EvaluateOptions{})
	check(err)
	fmt.Println(scores.Images, "images of the part", scores.Split)
	for _, student := range scores.Students {
		fmt.Printf("%s: %.0f %%\n", student.Name, 100*student.Accuracy)
	}
	fmt.Printf("ensemble: %.0f %%\n", 100*scores.Ensemble.Accuracy)
	check(os.RemoveAll(filepath.Dir(filepath.Dir(path))))
	// Output:
	// 4 images of the part test
	// convnet-1: 100 %
	// convnet-2: 100 %
	// ensemble: 100 %
}
