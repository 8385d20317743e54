package infer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Cohort is several students as an ensemble: its probabilities are the mean of
// theirs, its embedding is theirs side by side. It has no logits.
type Cohort struct {
	models []*Model
	gate   gate
	info   Info
}

// OpenCohort opens every file and makes a cohort of the models, as NewCohort
// does. A file that is given twice is refused with ErrMismatch. On an error nothing stays open.
func OpenCohort(paths []string, opts Options) (*Cohort, error) {
	var models []*Model
	closeAll := func() error {
		var errs []error
		for _, m := range models {
			errs = append(errs, m.Close())
		}
		return errors.Join(errs...)
	}
	if err := distinct(paths); err != nil {
		return nil, err
	}
	for _, path := range paths {
		m, err := Open(path, opts)
		if err != nil {
			return nil, errors.Join(err, closeAll())
		}
		models = append(models, m)
	}
	c, err := NewCohort(models...)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	return c, nil
}

// distinct reports a file that is given twice, by whatever path: it would count
// twice in the mean.
func distinct(paths []string) error {
	var before []os.FileInfo
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("infer: %w", err)
		}
		j := slices.IndexFunc(before, func(other os.FileInfo) bool { return os.SameFile(info, other) })
		if j >= 0 {
			return fmt.Errorf("infer: %w: models %d (%s) and %d (%s) are the same file", ErrMismatch, j+1, paths[j], i+1, path)
		}
		before = append(before, info)
	}
	return nil
}

// NewCohort makes a cohort of open models, which it closes when it is closed.
// They must agree in input size, normalisation and classes, and carry
// metadata; otherwise the error wraps ErrMismatch or ErrNoMetadata, and the
// models stay as they were. The options of the first model hold.
func NewCohort(models ...*Model) (*Cohort, error) {
	if len(models) == 0 {
		return nil, fmt.Errorf("infer: %w: there are none", ErrMismatch)
	}
	c := &Cohort{models: slices.Clone(models), info: models[0].Info()}
	c.info.Path, c.info.Students, c.info.Features = "", len(models), 0
	var names []string
	fixedFeatures := true
	for i, m := range models {
		if m.info.Foreign {
			return nil, fmt.Errorf("infer: model %d (%s): %w", i+1, m.info.Path, ErrNoMetadata)
		}
		if slices.Contains(models[:i], m) {
			return nil, fmt.Errorf("infer: %w: model %d (%s) occurs twice", ErrMismatch, i+1, m.info.Path)
		}
		if err := models[0].info.agree(m.info); err != nil {
			return nil, fmt.Errorf("infer: %w: model %d (%s) and the first (%s): %w", ErrMismatch, i+1, m.info.Path, models[0].info.Path, err)
		}
		names = append(names, m.info.Architecture)
		c.info.Features += m.info.Features
		fixedFeatures = fixedFeatures && m.info.Features > 0
	}
	if !fixedFeatures {
		c.info.Features = 0
	}
	c.info.Architecture = strings.Join(names, "+")
	return c, nil
}

// agree reports every difference that keeps two models from sharing an input
// and adding their probabilities.
func (i Info) agree(o Info) error {
	var errs []error
	differ := func(what string, a, b any) {
		errs = append(errs, fmt.Errorf("%s %v and %v", what, b, a))
	}
	if a, b := [3]int{i.Channels, i.Height, i.Width}, [3]int{o.Channels, o.Height, o.Width}; a != b {
		differ("inputs", a, b)
	}
	if i.Batch != o.Batch {
		differ("batches", i.Batch, o.Batch)
	}
	if !slices.Equal(i.Mean, o.Mean) {
		differ("means", i.Mean, o.Mean)
	}
	if !slices.Equal(i.Std, o.Std) {
		differ("standard deviations", i.Std, o.Std)
	}
	if !slices.Equal(i.Classes, o.Classes) {
		differ("classes", i.Classes, o.Classes)
	}
	return errors.Join(errs...)
}

// Info describes the cohort.
func (c *Cohort) Info() Info { return c.info.clone() }

// StudentInfo describes each model.
func (c *Cohort) StudentInfo() []Info {
	out := make([]Info, len(c.models))
	for i, m := range c.models {
		out[i] = m.Info()
	}
	return out
}

// Close waits for calls under way and closes the models.
func (c *Cohort) Close() error {
	if !c.gate.close() {
		return nil
	}
	var errs []error
	for _, m := range c.models {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// Run runs every student on a batch of n samples, normalised, [n, channels,
// height, width]. Probabilities are the mean of the students', Embedding is
// theirs side by side for each sample, Logits is nil.
func (c *Cohort) Run(ctx context.Context, batch []float32, n int) (Outputs, error) {
	out, _, err := c.RunEach(ctx, batch, n)
	return out, err
}

// RunEach is Run that also returns the outputs of each student.
func (c *Cohort) RunEach(ctx context.Context, batch []float32, n int) (Outputs, []Outputs, error) {
	if err := c.info.checkBatch(batch, n); err != nil {
		return Outputs{}, nil, err
	}
	if err := c.gate.enter(); err != nil {
		return Outputs{}, nil, fmt.Errorf("infer: %w", err)
	}
	defer c.gate.leave()
	return c.students(ctx, batch, n)
}

// students runs every student on the batch, one after the other: each uses all
// the threads it was opened with.
func (c *Cohort) students(ctx context.Context, batch []float32, n int) (Outputs, []Outputs, error) {
	each := make([]Outputs, len(c.models))
	for i, m := range c.models {
		var err error
		if each[i], err = m.Run(ctx, batch, n); err != nil {
			return Outputs{}, nil, fmt.Errorf("student %d (%s): %w", i+1, m.info.Architecture, err)
		}
	}
	return join(each), each, nil
}

// join averages probabilities and puts embeddings side by side.
func join(each []Outputs) Outputs {
	out := Outputs{N: each[0].N, Probabilities: make([]float32, len(each[0].Probabilities))}
	for i := range out.Probabilities {
		var sum float64
		for _, o := range each {
			sum += float64(o.Probabilities[i])
		}
		out.Probabilities[i] = float32(sum / float64(len(each)))
	}
	for i := range out.N {
		for _, o := range each {
			width := len(o.Embedding) / o.N
			out.Embedding = append(out.Embedding, o.Embedding[i*width:(i+1)*width]...)
		}
	}
	return out
}

// run prepares a batch once for all students.
func (c *Cohort) run(ctx context.Context, n int, fill func(dst []float32) error) (Outputs, error) {
	if err := c.gate.enter(); err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	defer c.gate.leave()
	batch := make([]float32, n*c.info.sampleSize())
	if err := fill(batch); err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	out, _, err := c.students(ctx, batch, n)
	return out, err
}

// Predict classifies images by the mean of the students' probabilities.
func (c *Cohort) Predict(ctx context.Context, images ...Image) ([]Prediction, error) {
	return predict(ctx, c, images)
}

// Embed returns the students' embeddings side by side, L2-normalised as a
// whole.
func (c *Cohort) Embed(ctx context.Context, images ...Image) ([][]float32, error) {
	return embed(ctx, c, images)
}

func (c *Cohort) preparer() (*preparer, error) { return c.models[0].preparer() }
func (c *Cohort) options() Options             { return c.models[0].opts }
func (c *Cohort) classes() []string            { return c.info.Classes }
