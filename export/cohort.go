package export

import (
	"errors"
	"fmt"
	"strings"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// Student is one member of a cohort.
type Student struct {
	// Name begins the names of its nodes and tensors: it is not empty, holds no
	// slash, and no other student of the cohort has it.
	Name    string
	Network *models.Network
	Weights models.Weights
}

// smallestNorm keeps an embedding of zeros from being divided by zero; PyTorch's
// normalize takes the same.
const smallestNorm = 1e-12

// MarshalCohort returns one ONNX model of all students, which read the same
// input. Its outputs are probabilities, the mean of the students', and embedding,
// theirs side by side in the order given, divided by its L2 norm; and for each
// student NAME what [StudentOutput] names: NAME/probabilities, and NAME/logits
// where Options.Outputs holds Logits. The students must agree in input shape and
// number of classes, and were trained with the same normalisation.
func MarshalCohort(students []Student, opts Options) ([]byte, error) {
	if err := validateCohort(students); err != nil {
		return nil, fmt.Errorf("export of a cohort: %w", err)
	}
	if opts.Outputs == nil {
		opts.Outputs = []string{Probabilities, Embedding}
	}
	var faults []error
	var architectures, names []string
	for _, s := range students {
		if err := errors.Join(opts.Validate(s.Network), s.Network.CheckWeights(s.Weights)); err != nil {
			faults = append(faults, fmt.Errorf("student %q: %w", s.Name, err))
		}
		architectures, names = append(architectures, s.Network.Name), append(names, s.Name)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("export of a cohort: %w", err)
	}
	graph, err := cohort(students, opts)
	if err != nil {
		return nil, fmt.Errorf("export of a cohort: %w", err)
	}
	meta := opts.metadata(students[0].Network)
	meta.Architecture, meta.Students = strings.Join(architectures, "+"), names
	data, err := encode(graph, meta)
	if err != nil {
		return nil, fmt.Errorf("export of a cohort: %w", err)
	}
	return data, nil
}

// StudentOutput names an output of one student in a cohort's file.
func StudentOutput(student, output string) string { return onnxmeta.StudentOutput(student, output) }

func validateCohort(students []Student) error {
	if len(students) == 0 {
		return errors.New("it has no student")
	}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	for i, s := range students {
		if s.Name == "" || strings.Contains(s.Name, "/") || seen[s.Name] {
			fault("student %d has the name %q, which is empty, holds a slash or is there twice", i+1, s.Name)
		}
		seen[s.Name] = true
		if s.Network == nil {
			fault("student %q has no network", s.Name)
			continue
		}
		if err := s.Network.Validate(); err != nil {
			fault("student %q: %w", s.Name, err)
			continue
		}
		first := students[0].Network
		if first != nil && (s.Network.Input != first.Input || s.Network.Classes != first.Classes) {
			fault("student %q takes %v and tells %d classes apart, %q takes %v and tells %d", s.Name, s.Network.Input, s.Network.Classes,
				students[0].Name, first.Input, first.Classes)
		}
	}
	return errors.Join(errs...)
}

// cohort builds the graph of all students and what joins their outputs.
func cohort(students []Student, opts Options) (*onnxpb.GraphProto, error) {
	b, input := newBuilder("cohort", students[0].Network.Input, opts)
	var added []*student
	gather := func(output string) (tensors []string) {
		for _, s := range added {
			tensors = append(tensors, s.named(output))
		}
		return tensors
	}
	features := 0
	for _, m := range students {
		s, err := b.add(StudentOutput(m.Name, ""), input, m.Network.ForInference(), m.Weights, opts.KeepBatchNorm)
		if err != nil {
			return nil, fmt.Errorf("student %q: %w", m.Name, err)
		}
		added = append(added, s)
		features += s.shapeOf(Embedding).C
	}
	if opts.wants(Probabilities) {
		b.node("Mean", Probabilities, Probabilities, gather(Probabilities))
		b.output(Probabilities, models.Vector(students[0].Network.Classes))
	}
	if opts.wants(Embedding) {
		b.normalisedEmbedding(gather(Embedding))
		b.output(Embedding, models.Vector(features))
	}
	for _, output := range []string{Logits, Probabilities} {
		for _, s := range added {
			if opts.wants(output) {
				b.output(s.named(output), s.shapeOf(output))
			}
		}
	}
	return b.graph(), nil
}

// normalisedEmbedding appends the embeddings side by side, divided by the L2 norm
// of the whole.
func (b *builder) normalisedEmbedding(parts []string) {
	joined, norm, bounded := b.freshTensor("embedding/joined"), b.freshTensor("embedding/norm"), b.freshTensor("embedding/bounded")
	smallest := b.freshTensor("embedding.smallest_norm")
	b.addTensor(smallest, nil, []float32{smallestNorm})
	b.node("Concat", "embedding/join", joined, parts, intAttr("axis", 1))
	b.node("ReduceL2", "embedding/norm", norm, []string{joined}, intsAttr("axes", 1), intAttr("keepdims", 1))
	b.node("Max", "embedding/bound", bounded, []string{norm, smallest})
	b.node("Div", Embedding, Embedding, []string{joined, bounded})
}
