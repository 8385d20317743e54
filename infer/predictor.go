package infer

import (
	"context"
	"errors"
	"fmt"
)

// Predictor is a model, a cohort of models, or one of these behind a Batcher or
// a Slot.
type Predictor interface {
	// Predict classifies images, in order. It fails as a whole; the error
	// names the image at fault. Scores that are no numbers, such as NaN, give
	// ErrUnsupported; so do they in Embed, and not in Run.
	Predict(ctx context.Context, images ...Image) ([]Prediction, error)
	// Embed returns the feature vector of each image, of length 1 (L2).
	Embed(ctx context.Context, images ...Image) ([][]float32, error)
	// Run takes a batch of n samples, normalised, [n, channels, height, width]
	// in row-major order. The result is the caller's own.
	Run(ctx context.Context, batch []float32, n int) (Outputs, error)
	// Info describes the model.
	Info() Info
	// Close waits for calls under way and frees the model. Closing again does
	// nothing.
	Close() error
}

var (
	_ Predictor = (*Model)(nil)
	_ Predictor = (*Cohort)(nil)
	_ Predictor = (*Batcher)(nil)
	_ Predictor = (*Slot)(nil)
)

// Outputs holds the raw results of N samples, each row-major with N rows. A
// result that the model does not give is nil.
type Outputs struct {
	N             int
	Logits        []float32 // [N, classes]
	Probabilities []float32 // [N, classes]
	Embedding     []float32 // [N, features], as the network gives it
	// Students are the outputs of each student, of a Cohort and of a file that
	// holds one, in the order of Info.StudentNames. It is nil for a single student,
	// and for a file that gives outputs of the whole alone.
	Students []Outputs
}

// Prediction is the classification of one image.
type Prediction struct {
	Probabilities []float32 `json:"probabilities"` // by class
	Top           []Score   `json:"top"`           // the most probable classes first
}

// Score is one class of a prediction.
type Score struct {
	Class       int     `json:"class"`
	Label       string  `json:"label"`
	Probability float32 `json:"probability"`
}

// Info describes what a Predictor runs. Where a model carries no metadata, the
// texts that come from it are empty, and the lists are those of the preset.
type Info struct {
	Path         string `json:"path"`         // file, or "" for a model from bytes
	Architecture string `json:"architecture"` // of a cohort: its students', joined by "+"
	Students     int    `json:"students"`     // number of students; 1 where it is no cohort
	Channels     int    `json:"channels"`     // of an input sample
	Height       int    `json:"height"`       // of an input sample; 0 where it is no image
	Width        int    `json:"width"`        // likewise
	Batch        int    `json:"batch"`        // samples in a batch of the network; 0 means any number
	Features     int    `json:"features"`     // length of an embedding; 0 where there is none or it is not fixed
	// StudentNames are those of a file that holds a cohort; of a Cohort, its
	// models' architectures where they are single students.
	StudentNames      []string  `json:"student_names"`
	Classes           []string  `json:"classes"`
	Mean              []float32 `json:"mean"` // (x/255 - Mean) / Std
	Std               []float32 `json:"std"`
	Dataset           string    `json:"dataset"`
	Mode              string    `json:"mode"` // of training
	Toolkit           string    `json:"toolkit"`
	Foreign           bool      `json:"foreign"`             // without our metadata: raw tensors only, or a preset
	Uint8             bool      `json:"uint8"`               // the network takes 8-bit pixels: RunPixels instead of Run
	NormalisedInGraph bool      `json:"normalised_in_graph"` // by the network itself, with Mean and Std
	Runtime           string    `json:"runtime"`             // version of ONNX Runtime's library
}

// Options says how to open a model. The zero value is what most want.
type Options struct {
	// Library is the path of ONNX Runtime's library; "" searches for it. It
	// matters for the first model only: the library is loaded once.
	Library string
	// Threads is the number of threads of one call; 0 means GOMAXPROCS.
	Threads int
	// TopK is the number of classes in Prediction.Top; 0 means 5. There are
	// never more than the model has.
	TopK int
	// MaxBatch is how many images Predict and Embed give the network at once;
	// 0 means 32.
	MaxBatch int
	// Preset prepares images for a model that carries no metadata about them;
	// one that does is refused with ErrUnsupported.
	Preset *Preset
	// Provider computes instead of the processor.
	Provider Provider
	// Ensemble is how a cohort joins its students; a single model has no use
	// for it.
	Ensemble Ensemble
}

// Validate reports every fault of o, joined.
func (o Options) Validate() error {
	var errs []error
	for _, field := range []struct {
		name  string
		value int
	}{{"Threads", o.Threads}, {"TopK", o.TopK}, {"MaxBatch", o.MaxBatch}} {
		if field.value < 0 {
			errs = append(errs, fmt.Errorf("infer: %s is %d; it cannot be negative", field.name, field.value))
		}
	}
	if o.Preset != nil {
		if err := o.Preset.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("infer: %w", err))
		}
	}
	errs = append(errs, o.Provider.validate(), o.Ensemble.validate())
	return errors.Join(errs...)
}

func (o Options) topK() int {
	if o.TopK == 0 {
		return 5
	}
	return o.TopK
}

func (o Options) maxBatch() int {
	if o.MaxBatch == 0 {
		return 32
	}
	return o.MaxBatch
}
