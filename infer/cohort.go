package infer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"slices"
	"strings"
)

// Cohort is several models as an ensemble, which joins their outputs as its
// Ensemble says. A model that itself holds a cohort counts as one, whose outputs
// are those of its whole.
type Cohort struct {
	models []*Model
	gate   gate
	info   Info
	join   Ensemble
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
// They must agree in the preparation of images and in classes, and say how
// images are prepared; otherwise the error wraps ErrMismatch or ErrNoMetadata,
// and the models stay as they were. The options of the first model hold.
func NewCohort(models ...*Model) (*Cohort, error) {
	if len(models) == 0 {
		return nil, fmt.Errorf("infer: %w: there are none", ErrMismatch)
	}
	first := models[0]
	c := &Cohort{models: slices.Clone(models), info: first.Info(), join: first.opts.Ensemble}
	c.info.Path, c.info.Students, c.info.StudentNames, c.info.Features = "", 0, nil, 0
	if n := len(c.join.Weights); n != 0 && n != len(models) {
		return nil, fmt.Errorf("infer: %w: %d weights for %d models", ErrMismatch, n, len(models))
	}
	var names []string
	features := make([]int, len(models))
	for i, m := range models {
		if m.prepErr != nil {
			return nil, fmt.Errorf("infer: model %d: %w", i+1, m.prepErr)
		}
		if slices.Contains(models[:i], m) {
			return nil, fmt.Errorf("infer: %w: model %d (%s) occurs twice", ErrMismatch, i+1, m.info.Path)
		}
		if err := first.agree(m); err != nil {
			return nil, fmt.Errorf("infer: %w: model %d (%s) and the first (%s): %w", ErrMismatch, i+1, m.info.Path, first.info.Path, err)
		}
		if c.join.Logits && m.desc.Logits.Name == "" {
			return nil, fmt.Errorf("infer: %w: model %d (%s), whose logits are to be averaged: %w %q", ErrMismatch, i+1, m.info.Path, ErrNoOutput, "logits")
		}
		names = append(names, m.info.Architecture)
		features[i] = m.info.Features
		c.info.Students += m.info.Students
		if m.info.StudentNames == nil {
			c.info.StudentNames = append(c.info.StudentNames, m.info.Architecture)
		}
		c.info.StudentNames = append(c.info.StudentNames, m.info.StudentNames...)
	}
	width, err := c.join.features(features)
	if err != nil {
		return nil, fmt.Errorf("infer: %w: %w", ErrMismatch, err)
	}
	c.info.Features = width
	c.info.Architecture = strings.Join(names, "+")
	return c, nil
}

// agree reports every difference that keeps two models from sharing an input
// and adding their probabilities.
func (m *Model) agree(o *Model) error {
	var errs []error
	differ := func(what string, a, b any) {
		errs = append(errs, fmt.Errorf("%s %v and %v", what, b, a))
	}
	p, q := m.prep.preparation, o.prep.preparation
	if a, b := [3]int{p.channels, p.height, p.width}, [3]int{q.channels, q.height, q.width}; a != b {
		differ("inputs", a, b)
	}
	if p.mean != q.mean {
		differ("means", p.mean, q.mean)
	}
	if p.std != q.std {
		differ("standard deviations", p.std, q.std)
	}
	if m.info.Uint8 != o.info.Uint8 {
		differ("inputs of 8-bit pixels", m.info.Uint8, o.info.Uint8)
	}
	if p != q && len(errs) == 0 {
		differ("preparations", fmt.Sprintf("%+v", p), fmt.Sprintf("%+v", q))
	}
	if a, b := m.desc.classCount(), o.desc.classCount(); !slices.Equal(m.info.Classes, o.info.Classes) {
		differ("classes", m.info.Classes, o.info.Classes)
	} else if a != b {
		differ("numbers of classes", a, b)
	}
	return errors.Join(errs...)
}

// classCount is the number of classes, 0 where it is not fixed or there are
// none.
func (d Description) classCount() int { return max(d.Probabilities.Sample(), d.Logits.Sample()) }

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
// height, width], and joins their outputs, which Outputs.Students holds one by
// one.
func (c *Cohort) Run(ctx context.Context, batch []float32, n int) (Outputs, error) {
	if err := c.info.checkFloats(batch, n); err != nil {
		return Outputs{}, err
	}
	return runInside(c, func() (Outputs, error) { return c.students(ctx, Input{Float32: batch}, n) })
}

// RunPixels is Model.RunPixels of every student, joined.
func (c *Cohort) RunPixels(ctx context.Context, batch []uint8, n int) (Outputs, error) {
	return runPixels(ctx, c, c.info, batch, n)
}

// students runs every student on the batch, one after the other: each uses all
// the threads it was opened with.
func (c *Cohort) students(ctx context.Context, batch Input, n int) (Outputs, error) {
	each := make([]Outputs, len(c.models))
	for i, m := range c.models {
		var err error
		each[i], err = m.computeOn(ctx, n, batch)
		if err != nil {
			return Outputs{}, fmt.Errorf("model %d (%s): %w", i+1, cmp.Or(m.info.Architecture, m.info.Path), err)
		}
	}
	out, err := c.join.outputs(each)
	out.Students = c.oneByOne(each)
	return out, err
}

// oneByOne returns the outputs of all students, given those of the models; nil
// where a file holds a cohort and does not give them.
func (c *Cohort) oneByOne(each []Outputs) []Outputs {
	out := make([]Outputs, 0, c.info.Students)
	for i, m := range c.models {
		if m.info.StudentNames == nil {
			out = append(out, each[i])
		} else if each[i].Students == nil {
			return nil
		}
		out = append(out, each[i].Students...)
	}
	return out
}

// compute prepares a batch once for all students.
func (c *Cohort) compute(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	if ctx.Err() != nil {
		return Outputs{}, cancelled(ctx)
	}
	batch := newInput(c.input(), n, c.info.sampleSize())
	if err := fill(batch); err != nil {
		return Outputs{}, err
	}
	return c.students(ctx, batch, n)
}

// Predict classifies images by the students' joint probabilities.
func (c *Cohort) Predict(ctx context.Context, images ...Image) ([]Prediction, error) {
	return predict(ctx, c, images)
}

// Embed returns the students' joint embeddings, L2-normalised.
func (c *Cohort) Embed(ctx context.Context, images ...Image) ([][]float32, error) {
	return embed(ctx, c, images)
}

// EmbedImages is Embed of decoded images, which makes a Cohort an Embedder of
// package reid.
func (c *Cohort) EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error) {
	return c.Embed(ctx, fromImages(images)...)
}

// enter starts a call of the cohort and of every student, so that none can be
// closed under it.
func (c *Cohort) enter() error {
	if err := c.gate.enter(); err != nil {
		return err
	}
	for i, m := range c.models {
		if err := m.enter(); err != nil {
			for _, entered := range c.models[:i] {
				entered.leave()
			}
			c.gate.leave()
			return fmt.Errorf("model %d (%s): %w", i+1, cmp.Or(m.info.Architecture, m.info.Path), err)
		}
	}
	return nil
}

func (c *Cohort) leave() {
	for _, m := range c.models {
		m.leave()
	}
	c.gate.leave()
}

func (c *Cohort) preparer() (*preparer, error) { return c.models[0].preparer() }
func (c *Cohort) options() Options             { return c.models[0].opts }
func (c *Cohort) input() TensorInfo            { return c.models[0].desc.Input }
func (c *Cohort) classes() []string            { return c.info.Classes }
