// Package demo shows mutual learning at work. On built-in digits, the same two
// small students are trained by mutual learning and independently, exported, and
// compared in ONNX Runtime; on synthetic pedestrians, two students learn together to
// tell people apart, and find others in a gallery.
package demo

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"path/filepath"

	"github.com/deepmutual/dml/cmd/dml/internal/demo/data"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/train"
)

// Options of Run and RunPeople. The zero value of a field means its default.
type Options struct {
	Out     string         // folder of the ONNX files and the sample; default runs/demo
	Epochs  int            // default 15, of RunPeople PeopleEpochs
	Seed    uint64         // default 1
	Backend *train.Backend // default: oneDNN where it is found
	Version string         // of the toolkit, for the files' metadata
	// Limit takes so many of the images to train and validate on; 0 means all.
	Limit int
	// Stage is called at the start of each stage with what it does and, where
	// it trains, with its configuration. It returns the events of that stage
	// to call. Nil means no report.
	Stage func(title string, cfg *train.Config) train.Events
}

func (o Options) withDefaults() Options {
	if o.Out == "" {
		o.Out = filepath.Join("runs", "demo")
	}
	if o.Epochs == 0 {
		o.Epochs = 15
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Stage == nil {
		o.Stage = func(string, *train.Config) train.Events { return train.Events{} }
	}
	return o
}

// Result holds what the demonstration found, by ONNX Runtime on the test
// images.
type Result struct {
	TrainImages, TestImages int
	Students                []Student
	// The ensembles: the means of the students' posteriors.
	Independent, DML float64
	// IndependentFiles and DMLFiles are the ONNX files, a student each.
	IndependentFiles, DMLFiles []string
	// SampleFile is a PNG file of a test image, to try the students on, and
	// SampleClass the name of its class.
	SampleFile, SampleClass string
}

// Student compares one student's accuracy when trained both ways, from the
// same initial weights and on the same mini-batches.
type Student struct {
	Name, Arch       string
	Parameters       int
	Independent, DML float64
}

// students of the demonstration: equal networks, whose initial weights differ.
var students = []train.Student{{Name: "student-1", Arch: "convnet"}, {Name: "student-2", Arch: "convnet"}}

// validation is the fraction of the training images that is set aside to show
// progress by.
const validation = 0.1

// Run trains on digits, exports and evaluates. A cancelled context ends it with an error.
func Run(ctx context.Context, opts Options) (Result, error) {
	opts = opts.withDefaults()
	splits, err := data.Load()
	if err != nil {
		return Result{}, err
	}
	if opts.Limit > 0 {
		if splits.Train, err = dataset.Limit(splits.Train, opts.Limit, opts.Seed); err != nil {
			return Result{}, err
		}
	}
	// Both ways of training learn from, and validate on, the same images.
	if splits, err = splits.CarveVal(validation, opts.Seed); err != nil {
		return Result{}, err
	}
	result := Result{TrainImages: splits.Train.Len(), TestImages: splits.Test.Len()}
	independent, independentFiles, err := pair(ctx, train.ModeIndependent, splits, opts)
	if err != nil {
		return Result{}, err
	}
	mutual, mutualFiles, err := pair(ctx, train.ModeDML, splits, opts)
	if err != nil {
		return Result{}, err
	}
	result.Independent, result.DML = independent.Ensemble.Accuracy, mutual.Ensemble.Accuracy
	result.IndependentFiles, result.DMLFiles = independentFiles.paths, mutualFiles.paths
	for i, s := range students {
		result.Students = append(result.Students, Student{Name: s.Name, Arch: s.Arch, Parameters: mutualFiles.parameters[i],
			Independent: independent.Students[i].Accuracy, DML: mutual.Students[i].Accuracy})
	}
	result.SampleFile = filepath.Join(opts.Out, "sample.png")
	result.SampleClass, err = writeSample(result.SampleFile, splits.Test)
	return result, err
}

// writeSample writes the first image of ds, which is gray, as a PNG file and
// returns its class.
func writeSample(path string, ds dataset.Dataset) (class string, err error) {
	img, err := ds.Image(0)
	if err != nil {
		return "", err
	}
	var file bytes.Buffer
	gray := &image.Gray{Pix: img.Pix, Stride: img.Width, Rect: image.Rect(0, 0, img.Width, img.Height)}
	if err := png.Encode(&file, gray); err != nil {
		return "", err
	}
	return ds.Classes()[ds.Label(0)], files.WriteFile(path, file.Bytes(), 0o644)
}

// pair trains the students in one mode, exports them and evaluates the files.
func pair(ctx context.Context, mode train.Mode, splits dataset.Splits, opts Options) (train.Evaluation, exported, error) {
	cfg := train.Config{Mode: mode, Students: students, Epochs: opts.Epochs, Seed: opts.Seed}.WithDefaults()
	title := "training two students independently"
	if mode == train.ModeDML {
		title = "training the same two by deep mutual learning"
	}
	files, err := fit(ctx, cfg, splits, title, string(mode)+"-", opts)
	if err != nil {
		return train.Evaluation{}, exported{}, err
	}
	cohort, err := infer.Open(infer.Options{}, files.paths...)
	if err != nil {
		return train.Evaluation{}, exported{}, err
	}
	defer cohort.Close()
	evaluation, err := run.EvaluateModels(ctx, cohort, files.names, run.EvaluateOptions{Images: splits.Test, Batch: 100})
	return evaluation.Evaluation, files, err
}
