package export

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/models"
)

// The outputs of a file.
const (
	Logits        = onnxmeta.Logits
	Probabilities = onnxmeta.Probabilities
	Embedding     = onnxmeta.Embedding
)

// Outputs lists what Options.Outputs may hold.
func Outputs() []string { return []string{Logits, Probabilities, Embedding} }

// Options says what goes into a model besides the network and its weights. The
// zero value is what most want.
type Options struct {
	// Classes names the classes in the order of the logits; nil means "0",
	// "1", ....
	Classes []string
	// Mean and Std are the normalisation that the network was trained with,
	// one value a channel in the 0..1 scale: (x/255 - Mean) / Std. Nil means
	// zeros and ones.
	Mean, Std []float32
	// Dataset names what the network was trained on, Mode how ("dml",
	// "independent"), Version the toolkit. They are recorded where given.
	Dataset, Mode, Version string
	// KeepBatchNorm writes every batch norm as a node of its own.
	KeepBatchNorm bool
	// Outputs are some of Logits, Probabilities and Embedding; nil means all
	// of them, of a cohort the last two. Layers that none of them needs are
	// left out.
	Outputs []string
	// Batch is the number of samples that the file takes at a time; 0 means
	// any.
	Batch int
	// Uint8Input makes the input uint8 [batch, height, width, channels],
	// pixels as images hold them, which the graph normalises itself.
	Uint8Input bool
	// Half stores kernels and matrices as float16, which the graph casts to
	// float32 before it computes: for a file of about half the size, not for
	// speed.
	Half bool
}

// maxBatch bounds Options.Batch.
const maxBatch = 1 << 16

// normalisation returns the metadata of the input alone.
func (o Options) normalisation(channels int) onnxmeta.Metadata {
	m := onnxmeta.Metadata{Channels: channels, Mean: o.Mean, Std: o.Std, NormalisedInGraph: o.Uint8Input}
	if m.Mean == nil {
		m.Mean = make([]float32, channels)
	}
	if m.Std == nil {
		m.Std = slices.Repeat([]float32{1}, channels)
	}
	return m
}

// metadata returns the full description of net's file.
func (o Options) metadata(net *models.Network) onnxmeta.Metadata {
	m := o.normalisation(net.Input.C)
	m.Architecture, m.Classes = net.Name, o.Classes
	m.Height, m.Width = net.Input.H, net.Input.W
	m.Dataset, m.Mode, m.Toolkit = o.Dataset, o.Mode, o.Version
	if m.Classes == nil {
		for i := range net.Classes {
			m.Classes = append(m.Classes, fmt.Sprint(i))
		}
	}
	return m
}

// wants reports whether a file shall have that output.
func (o Options) wants(output string) bool {
	return o.Outputs == nil || slices.Contains(o.Outputs, output)
}

// Validate reports every fault of o for net, joined.
func (o Options) Validate(net *models.Network) error {
	errs := []error{o.metadata(net).Validate()}
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Classes != nil && len(o.Classes) != net.Classes {
		fault("%d class names for a network of %d classes", len(o.Classes), net.Classes)
	}
	if o.Outputs != nil && len(o.Outputs) == 0 {
		fault("no output is asked for; choose from %s", strings.Join(Outputs(), ", "))
	}
	for i, name := range o.Outputs {
		if !slices.Contains(Outputs(), name) {
			fault("output %q is unknown; choose from %s", name, strings.Join(Outputs(), ", "))
		} else if slices.Contains(o.Outputs[:i], name) {
			fault("output %q is asked for twice", name)
		}
	}
	if o.Batch < 0 || o.Batch > maxBatch {
		fault("a batch of %d is not between 0 (any) and %d", o.Batch, maxBatch)
	}
	return errors.Join(errs...)
}
