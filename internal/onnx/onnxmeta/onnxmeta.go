// Package onnxmeta defines what a student's ONNX file says about itself in its
// metadata_props. Package export writes it and package infer reads it; this is
// the one place that knows the keys.
//
// Version 1 of the format: the graph's input is a float32 tensor [batch,
// channels, height, width] of pixels normalised as (x/255 - mean) / std, x in
// 0..255, channels in the order R, G, B (or one of grey). Other numbers of channels
// are for tensors that are not images. Where the graph normalises itself
// (KeyNormalised), its input is a uint8 tensor [batch, height, width, channels]
// of the pixels x, and mean and std only tell what the graph does.
//
// A file has those of the three outputs that its maker wanted. A file that holds
// a cohort names its students (KeyStudents). Its probabilities are the mean of
// the students', its embedding is theirs side by side, L2-normalised as a whole,
// and it has no logits; each student's own outputs are called as StudentOutput
// says.
package onnxmeta

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Version is the format written, and the newest that Parse reads.
const Version = 1

// The names of the graph's input and outputs.
const (
	Input         = "input"         // float32 [batch, channels, height, width], or uint8 [batch, height, width, channels]
	Logits        = "logits"        // float32 [batch, classes]
	Probabilities = "probabilities" // float32 [batch, classes], softmax of the logits
	Embedding     = "embedding"     // float32 [batch, features], not normalised but in a cohort's file
)

// StudentOutput names an output of one student in a cohort's file, as in
// "resnet20-1/probabilities".
func StudentOutput(student, output string) string { return student + "/" + output }

// IsStudentOutput tells whether a tensor has a name that StudentOutput makes of
// an output that files give of each student.
func IsStudentOutput(name string) bool {
	student, output, found := strings.Cut(name, "/")
	return found && student != "" && (output == Logits || output == Probabilities)
}

// Prefix begins every key.
const Prefix = "dml."

// The keys. Lists are JSON arrays; numbers are in Go's shortest decimal form.
const (
	KeyFormat       = "dml.format"                 // the format's version: "1"
	KeyArchitecture = "dml.architecture"           // name of the network, such as "resnet32"
	KeyClasses      = "dml.classes"                // class names in the order of the logits
	KeyChannels     = "dml.channels"               // 1 (grey) or 3 (RGB) for images
	KeyHeight       = "dml.height"                 // of the input, in pixels
	KeyWidth        = "dml.width"                  // of the input, in pixels
	KeyMean         = "dml.mean"                   // one number a channel, in the 0..1 scale
	KeyStd          = "dml.std"                    // one number a channel, in the 0..1 scale
	KeyNormalised   = "dml.normalisation_in_graph" // "true" or "false"
	KeyStudents     = "dml.students"               // of a cohort's file alone: the students' names
	KeyDataset      = "dml.dataset"                // what the student was trained on
	KeyMode         = "dml.training_mode"          // such as "dml" or "independent"
	KeyToolkit      = "dml.toolkit"                // version of the toolkit that wrote the file
)

// Metadata is what the keys say.
type Metadata struct {
	Architecture            string
	Classes                 []string // at least two
	Channels, Height, Width int
	Mean, Std               []float32 // one value a channel
	// NormalisedInGraph says that the graph itself normalises, so that its
	// input takes raw pixels.
	NormalisedInGraph bool
	// Students are the names of a cohort's students, in the order of its
	// embedding; nil in the file of one student. Architecture is theirs
	// joined by "+" then.
	Students      []string
	Dataset, Mode string
	Toolkit       string
}

// Errors of Parse; test with errors.Is.
var (
	ErrNone    = errors.New("the model carries no " + KeyFormat + " metadata")
	ErrNewer   = errors.New("the model's metadata is of a newer format")
	ErrInvalid = errors.New("the model's metadata is invalid")
)

// Pair is an entry of metadata_props.
type Pair struct{ Key, Value string }

// Validate reports every fault of m, joined.
func (m Metadata) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.Architecture == "" {
		fault("%s is empty", KeyArchitecture)
	}
	if len(m.Classes) < 2 {
		fault("%s has %d names, needs at least 2", KeyClasses, len(m.Classes))
	}
	seen := make(map[string]bool, len(m.Classes))
	for _, name := range m.Classes {
		if seen[name] {
			fault("%s holds %q twice: predictions could not tell these classes apart", KeyClasses, name)
			break
		}
		seen[name] = true
	}
	const maxSide = 1 << 16
	if m.Channels < 1 || m.Channels > maxSide {
		fault("%s is %d: want 1 to %d", KeyChannels, m.Channels, maxSide)
	}
	if m.Height < 1 || m.Height > maxSide || m.Width < 1 || m.Width > maxSide {
		fault("%s and %s are %d and %d: want 1 to %d", KeyHeight, KeyWidth, m.Height, m.Width, maxSide)
	}
	for _, list := range []struct {
		key      string
		values   []float32
		positive bool
	}{{KeyMean, m.Mean, false}, {KeyStd, m.Std, true}} {
		if len(list.values) != m.Channels {
			fault("%s has %d values for %d channels", list.key, len(list.values), m.Channels)
		}
		for _, v := range list.values {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) || (list.positive && f <= 0) {
				fault("%s holds %v", list.key, v)
			}
		}
	}
	for i, name := range m.Students {
		if name == "" || slices.Contains(m.Students[:i], name) {
			fault("%s holds %q, which is empty or there twice", KeyStudents, name)
		}
	}
	return errors.Join(errs...)
}

// Pairs returns m, which must be valid, in a fixed order of keys. Empty texts
// are left out.
func (m Metadata) Pairs() []Pair {
	pairs := []Pair{
		{KeyFormat, strconv.Itoa(Version)},
		{KeyArchitecture, m.Architecture},
		{KeyClasses, jsonText(m.Classes)},
		{KeyChannels, strconv.Itoa(m.Channels)},
		{KeyHeight, strconv.Itoa(m.Height)},
		{KeyWidth, strconv.Itoa(m.Width)},
		{KeyMean, jsonText(m.Mean)},
		{KeyStd, jsonText(m.Std)},
		{KeyNormalised, strconv.FormatBool(m.NormalisedInGraph)},
	}
	if len(m.Students) > 0 {
		pairs = append(pairs, Pair{KeyStudents, jsonText(m.Students)})
	}
	for _, p := range []Pair{{KeyDataset, m.Dataset}, {KeyMode, m.Mode}, {KeyToolkit, m.Toolkit}} {
		if p.Value != "" {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // strings and finite numbers always encode
		panic(err)
	}
	return string(text)
}

// Parse reads metadata_props; unknown keys are ignored. The error wraps
// ErrNone where the format's key is absent (a foreign model), ErrNewer, or
// ErrInvalid with every fault.
func Parse(props map[string]string) (Metadata, error) {
	format, ok := props[KeyFormat]
	if !ok {
		return Metadata{}, ErrNone
	}
	version, err := strconv.Atoi(format)
	if err != nil || version < 1 {
		return Metadata{}, fmt.Errorf("%w: %s is %q", ErrInvalid, KeyFormat, format)
	}
	if version > Version {
		return Metadata{}, fmt.Errorf("%w: %d, this toolkit reads up to %d; update it", ErrNewer, version, Version)
	}
	m := Metadata{
		Architecture: props[KeyArchitecture],
		Dataset:      props[KeyDataset],
		Mode:         props[KeyMode],
		Toolkit:      props[KeyToolkit],
	}
	var errs []error
	read := func(key string, into any) {
		if err := json.Unmarshal([]byte(props[key]), into); err != nil {
			errs = append(errs, fmt.Errorf("%s is %q: %w", key, props[key], err))
		}
	}
	read(KeyClasses, &m.Classes)
	read(KeyChannels, &m.Channels)
	read(KeyHeight, &m.Height)
	read(KeyWidth, &m.Width)
	read(KeyMean, &m.Mean)
	read(KeyStd, &m.Std)
	read(KeyNormalised, &m.NormalisedInGraph)
	if _, cohort := props[KeyStudents]; cohort {
		if read(KeyStudents, &m.Students); len(errs) == 0 && len(m.Students) == 0 {
			errs = append(errs, fmt.Errorf("%s is %q: it names no student", KeyStudents, props[KeyStudents]))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, m.Validate())
	}
	if err := errors.Join(errs...); err != nil {
		return Metadata{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return m, nil
}
