package run

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/train"
)

// SplitAll, as EvaluateOptions.Split, is all images of data without parts.
const SplitAll = "all"

// EvaluateOptions says on what students are evaluated, and how. The zero value
// is usable for a run.
type EvaluateOptions struct {
	// Data is a folder, CSV list or CIFAR file; default: that of the run. One that
	// was given its data in Options.Data has none: give Images.
	Data string
	// Images, all of them, in place of Data.
	Images dataset.Dataset
	Kind   dataset.Kind // of Data; default: recognised
	// Split is the part of the data: train, val, test, or SplitAll. A run's own
	// data is divided as in training. Default: test, or val where a run's data has
	// no test part; of other data without parts all.
	Split string
	Seed  uint64 // that decided the split of a flat image folder; default: that of the run, else 1
	Limit int    // of the images; 0 is all
	// Checkpoint of a run is Best, the default, or Last.
	Checkpoint string
	Batch      int            // images at a time; default 64
	Threads    int            // default: all cores
	Backend    *train.Backend // of a run; default: that which it was trained on
}

// Evaluation is how students and their ensemble did on a part of some data.
type Evaluation struct {
	Data   string `json:"data"`  // path
	Split  string `json:"split"` // train, val, test or all
	Images int    `json:"images"`
	train.Evaluation
	// Chosen says that no part was asked for, and that these are the images that
	// the best checkpoints were chosen on, since the run's data has no test part.
	Chosen bool `json:"-"`
	// Report says what the data was taken for.
	Report dataset.Report `json:"-"`
}

// Evaluate measures the students of the run, and their ensemble, with the
// training code.
func (r *Run) Evaluate(ctx context.Context, opts EvaluateOptions) (Evaluation, error) {
	states, err := r.States(cmp.Or(opts.Checkpoint, Best))
	if err != nil {
		return Evaluation{}, err
	}
	p, err := opts.ofRun(r.cfg)
	if err != nil {
		return Evaluation{}, err
	}
	if p.Dataset, err = dataset.MatchClasses(p.Dataset, states[0].Classes); err != nil {
		return Evaluation{}, fmt.Errorf("classes of %s: %w", r.Path(), err)
	}
	backend, err := r.backend(opts.Backend)
	if err != nil {
		return Evaluation{}, err
	}
	scores, err := train.Evaluate(ctx, states, p, train.EvaluateOptions{Backend: backend, Threads: opts.Threads, Batch: p.batch(opts.Batch)})
	return p.evaluation(scores), err
}

// backend returns the given one, or that which the run was trained on.
func (r *Run) backend(given *train.Backend) (*train.Backend, error) {
	if given != nil {
		return given, nil
	}
	return train.OpenBackend(r.cfg.Backend)
}

// EvaluateModels measures exported students and their ensemble with ONNX
// Runtime, on data prepared by the loader that trains. names are those of the
// model's files, which stand for students.
func EvaluateModels(ctx context.Context, model *infer.Model, names []string, opts EvaluateOptions) (Evaluation, error) {
	p, err := opts.ofOther("")
	if err != nil {
		return Evaluation{}, err
	}
	if p.Dataset, err = dataset.MatchClasses(p.Dataset, model.Info().Classes); err != nil {
		return Evaluation{}, fmt.Errorf("classes of %s: %w", names[0], err)
	}
	scores, err := evaluateFiles(ctx, model, names, p, p.batch(opts.Batch))
	return p.evaluation(scores), err
}

// part is the images to evaluate on.
type part struct {
	dataset.Dataset
	path, split string
	chosen      bool
	report      dataset.Report
}

func (p part) evaluation(scores train.Evaluation) Evaluation {
	return Evaluation{Data: p.path, Split: p.split, Images: p.Len(), Evaluation: scores, Chosen: p.chosen, Report: p.report}
}

// batch is how many images to evaluate at a time: no more than there are.
func (p part) batch(n int) int { return max(1, min(cmp.Or(n, 64), p.Len())) }

// ofRun opens the part of a run's own data as the run divided it, of any other
// as it is. Data of people has no test part of the classes that are trained.
func (o EvaluateOptions) ofRun(cfg Config) (part, error) {
	path := cfg.Data.Path
	if o.Images != nil {
		return o.ofOther("")
	}
	if o.Data != "" {
		var err error
		if path, err = filepath.Abs(o.Data); err != nil {
			return part{}, err
		}
	}
	o.Seed = cmp.Or(o.Seed, cfg.Seed)
	if path != cfg.Data.Path || o.Split == SplitAll {
		o.Data = path
		return o.ofOther(cfg.Data.Pattern)
	}
	cfg.Seed, cfg.Data.Kind = o.Seed, cmp.Or(o.Kind, cfg.Data.Kind)
	data, err := cfg.OpenData()
	if err != nil {
		return part{}, err
	}
	p := part{path: path, split: o.Split, report: data.Report}
	if p.split == "" {
		p.split = "test"
		if data.Test == nil {
			p.split, p.chosen = "val", true
		}
	}
	return o.take(p, data)
}

// ofOther opens a part of data that the students were not trained on.
func (o EvaluateOptions) ofOther(pattern string) (part, error) {
	open := dataset.Options{Kind: o.Kind, Pattern: pattern, Seed: cmp.Or(o.Seed, 1)}
	o.Seed = open.Seed
	if o.Images != nil {
		return o.limited(part{Dataset: o.Images, path: o.Images.Name(), split: SplitAll})
	}
	p := part{path: o.Data, split: o.Split}
	divided := p.split != "" && p.split != SplitAll
	if divided {
		open.TestFraction = dataset.DefaultTestFraction
	}
	data, err := dataset.Open(p.path, open)
	if err != nil {
		return part{}, err
	}
	p.report = data.Report
	if divided {
		if p.split == "val" && data.Val == nil {
			return part{}, fmt.Errorf("%s has no val part: only the data that a run was trained on has one, when that run is evaluated", p.path)
		}
		return o.take(p, data)
	}
	switch whole := data.Val == nil && data.Test == nil; {
	case whole && strings.HasPrefix(data.Train.Name(), string(dataset.Market1501)) && identities.Divided(os.DirFS(data.Report.Path)): // queries and gallery are other people, of no class
		p.split = "train"
	case whole:
		p.split, p.Dataset = SplitAll, data.Train
		return o.limited(p)
	case p.split == SplitAll:
		return part{}, fmt.Errorf("%s is divided into parts: choose one of them, train, val or test", p.path)
	default:
		p.split = "test"
	}
	return o.take(p, data)
}

// take takes the images of the part.
func (o EvaluateOptions) take(p part, data dataset.Splits) (part, error) {
	var err error
	if p.Dataset, err = data.Split(p.split); err != nil {
		return part{}, fmt.Errorf("%s: %w", p.path, err)
	}
	return o.limited(p)
}

func (o EvaluateOptions) limited(p part) (part, error) {
	if o.Limit > 0 {
		var err error
		if p.Dataset, err = dataset.Limit(p.Dataset, o.Limit, o.Seed); err != nil {
			return part{}, fmt.Errorf("%s: %w", p.path, err)
		}
	}
	if p.Len() == 0 {
		return part{}, fmt.Errorf("%s: its %s part holds no image", p.path, p.split)
	}
	return p, nil
}
