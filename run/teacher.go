package run

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/train"
)

// What the output of a teacher's file holds, for TeacherOptions.Output.
const (
	OutputLogits        = "logits"
	OutputProbabilities = "probabilities"
)

// TeacherOptions says what an ONNX file does not.
type TeacherOptions struct {
	// Output is OutputLogits or OutputProbabilities; default: recognised.
	Output string
	// Norm is the normalisation of a file without the toolkit's metadata, which
	// needs one, and of no other. One value stands for all channels.
	Norm dataset.Norm
	// Infer says how ONNX Runtime runs the file.
	Infer infer.Options
}

// Teacher is a classifier in an ONNX file, run by ONNX Runtime. It implements
// train.Teacher.
type Teacher struct {
	model *infer.Model
	info  train.TeacherInfo
	// batch is the number of samples of a run; 0 means any.
	batch int
	// channelsLast says that the file wants its images as [n, H, W, C].
	channelsLast bool
	// named says that the scores are the output called probabilities, and
	// logarithm that their logarithms are the logits.
	named, logarithm bool
	input            []float32 // reordered or padded
}

// OpenTeacher opens the classifier in an ONNX file. Errors name the file.
func OpenTeacher(path string, opts TeacherOptions) (*Teacher, error) {
	model, err := infer.Open(opts.Infer, path)
	if err != nil {
		return nil, err
	}
	t := &Teacher{model: model}
	if err := t.describe(path, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("teacher %s: %w", path, err), model.Close())
	}
	return t, nil
}

// describe finds out what the teacher wants and gives.
func (t *Teacher) describe(path string, opts TeacherOptions) error {
	in := t.model.Info()
	shape := dataset.Shape{Channels: in.Channels, Height: in.Height, Width: in.Width}
	if isChannels(shape.Width) && !isChannels(shape.Channels) {
		t.channelsLast = true
		shape = dataset.Shape{Channels: in.Width, Height: in.Channels, Width: in.Height}
	}
	if err := shape.Validate(); err != nil {
		return fmt.Errorf("it takes no images: %w", err)
	}
	norm, err := normalisation(in, opts.Norm, shape.Channels)
	if err != nil {
		return err
	}
	fingerprint, err := fileFingerprint(path)
	if err != nil {
		return err
	}
	t.batch = in.Batch
	t.info = train.TeacherInfo{Name: filepath.Base(path), Fingerprint: fingerprint,
		Input: dataset.Preparation{Shape: shape, Norm: norm}, ClassNames: in.Classes}
	return t.probe(opts.Output)
}

func isChannels(n int) bool { return n == 1 || n == 3 }

// normalisation is the file's own, or the given one where it has none.
func normalisation(in infer.Info, given dataset.Norm, channels int) (dataset.Norm, error) {
	isGiven := len(given.Mean) > 0 || len(given.Std) > 0
	if !in.Foreign {
		if isGiven {
			return dataset.Norm{}, errors.New("it says itself how its images are normalised; leave teacher.mean and teacher.std out")
		}
		return dataset.Norm{Mean: in.Mean, Std: in.Std}, nil
	}
	if len(given.Mean) == 0 || len(given.Std) == 0 {
		return dataset.Norm{}, errors.New("it does not say how its images are normalised; give teacher.mean and teacher.std, of (x/255 - mean) / std")
	}
	spread := func(v []float32) []float32 {
		if len(v) == 1 && channels == 3 {
			return []float32{v[0], v[0], v[0]}
		}
		return v
	}
	given.Mean, given.Std = spread(given.Mean), spread(given.Std)
	if err := given.Validate(channels); err != nil {
		return dataset.Norm{}, fmt.Errorf("teacher.mean, teacher.std: %w", err)
	}
	return given, nil
}

func fileFingerprint(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Sprintf("sha256:%x", digest.Sum(nil)), nil
}

// probe runs the file on noise, to learn how many classes it has and whether it
// gives logits or probabilities.
func (t *Teacher) probe(output string) error {
	n := t.batch
	if n == 0 {
		n = 2
	}
	noise := make([]float32, n*t.info.Input.Shape.Size())
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = float32(rng.NormFloat64())
	}
	out, err := t.model.Run(context.Background(), noise, n)
	if err != nil {
		return err
	}
	switch {
	case out.Logits != nil && output != OutputProbabilities:
		// A third-party file may call its probabilities anything.
		t.logarithm = output == "" && t.model.Info().Foreign && areDistributions(out.Logits, n)
	case out.Probabilities != nil && output != OutputLogits:
		t.named, t.logarithm = true, true
	case out.Logits != nil:
		t.logarithm = true
	default:
		return fmt.Errorf("it has no output of %s", cmp.Or(output, "class scores"))
	}
	scores := t.scores(out)
	t.info.Classes = len(scores) / n
	if t.info.Classes < 2 || len(scores)%n != 0 {
		return fmt.Errorf("its output has %d values for %d samples: it is not a classifier", len(scores), n)
	}
	if names := len(t.info.ClassNames); names > 0 && names != t.info.Classes {
		return fmt.Errorf("it names %d classes and gives scores of %d", names, t.info.Classes)
	}
	if t.logarithm && !areDistributions(scores, n) {
		return errors.New("its output is said to hold probabilities, but does not: they are negative or do not sum to 1")
	}
	return nil
}

// scores is the output that tells the classes apart.
func (t *Teacher) scores(out infer.Outputs) []float32 {
	if t.named {
		return out.Probabilities
	}
	return out.Logits
}

// areDistributions reports whether n rows are not negative and sum to 1, which
// logits of noise do not.
func areDistributions(rows []float32, n int) bool {
	classes := len(rows) / n
	for at := 0; at+classes <= len(rows); at += classes {
		var sum float64
		for _, p := range rows[at : at+classes] {
			if !(p >= 0) {
				return false
			}
			sum += float64(p)
		}
		if math.Abs(sum-1) > 1e-3 {
			return false
		}
	}
	return true
}

// Info implements train.Teacher.
func (t *Teacher) Info() train.TeacherInfo { return t.info }

// Logits implements train.Teacher. A step that has begun is finished, so no
// context reaches ONNX Runtime.
func (t *Teacher) Logits(dst, images []float32) error {
	size, classes := t.info.Input.Shape.Size(), t.info.Classes
	n := len(images) / size
	if len(images)%size != 0 || len(dst) != n*classes {
		return fmt.Errorf("%d values of images and %d of logits, want %d and %d a sample", len(images), len(dst), size, classes)
	}
	for at := 0; at < n; {
		run, filled := n, n
		if t.batch > 0 {
			run, filled = t.batch, min(t.batch, n-at)
		}
		out, err := t.model.Run(context.Background(), t.arrange(images[at*size:(at+filled)*size], run*size), run)
		if err != nil {
			return err
		}
		if err := t.take(dst[at*classes:(at+filled)*classes], out, run*classes); err != nil {
			return err
		}
		at += filled
	}
	return nil
}

// arrange returns images as the file wants them, padded with zeros to so many
// values.
func (t *Teacher) arrange(images []float32, values int) []float32 {
	if !t.channelsLast && len(images) == values {
		return images
	}
	if cap(t.input) < values {
		t.input = make([]float32, values)
	}
	t.input = t.input[:values]
	clear(t.input[copy(t.input, images):])
	if !t.channelsLast {
		return t.input
	}
	s := t.info.Input.Shape
	for at := 0; at < len(images); at += s.Size() {
		for c := range s.Channels {
			for p := range s.Height * s.Width {
				t.input[at+p*s.Channels+c] = images[at+c*s.Height*s.Width+p]
			}
		}
	}
	return t.input
}

// take writes the scores of a run to dst.
func (t *Teacher) take(dst []float32, out infer.Outputs, values int) error {
	scores := t.scores(out)
	if len(scores) != values {
		return fmt.Errorf("%d scores, want %d", len(scores), values)
	}
	copy(dst, scores)
	if t.logarithm {
		for i, p := range dst {
			dst[i] = float32(math.Log(float64(p))) // of 0, minus infinity: no student is asked to believe it
		}
	}
	return nil
}

// Close frees the model.
func (t *Teacher) Close() error { return t.model.Close() }

var _ train.Teacher = (*Teacher)(nil)
