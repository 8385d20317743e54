package export

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/atomicfile"
	"github.com/deepmutual/dml/internal/onnxmeta"
	"github.com/deepmutual/dml/internal/onnxpb"
	"github.com/deepmutual/dml/models"
)

const (
	opsetVersion = 17
	irVersion    = int64(onnxpb.Version_IR_VERSION_2021_7_30) // 8, the newest that opset 17 was published with
	producer     = "deepmutual/dml"
	maxBytes     = math.MaxInt32 // protobuf's limit for a message
)

// ErrTooLarge is wrapped by Marshal where the model exceeds protobuf's 2 GiB.
var ErrTooLarge = errors.New("model too large for one ONNX file")

// Options says what goes into a model besides the network and its weights.
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
}

// metadata returns the full description of net's file.
func (o Options) metadata(net *models.Network) onnxmeta.Metadata {
	m := onnxmeta.Metadata{
		Architecture: net.Name,
		Classes:      o.Classes,
		Channels:     net.Input.C, Height: net.Input.H, Width: net.Input.W,
		Mean: o.Mean, Std: o.Std,
		Dataset: o.Dataset, Mode: o.Mode, Toolkit: o.Version,
	}
	if m.Classes == nil {
		for i := range net.Classes {
			m.Classes = append(m.Classes, fmt.Sprint(i))
		}
	}
	if m.Mean == nil {
		m.Mean = make([]float32, net.Input.C)
	}
	if m.Std == nil {
		m.Std = slices.Repeat([]float32{1}, net.Input.C)
	}
	return m
}

// Validate reports every fault of o for net, joined.
func (o Options) Validate(net *models.Network) error {
	err := o.metadata(net).Validate()
	if o.Classes != nil && len(o.Classes) != net.Classes {
		err = errors.Join(err, fmt.Errorf("%d class names for a network of %d classes", len(o.Classes), net.Classes))
	}
	return err
}

// Marshal returns the ONNX model of net with weights w. It reports all faults
// of the network and the options; a parameter that is missing, of the wrong
// size, or not finite is named.
func Marshal(net *models.Network, w models.Weights, opts Options) ([]byte, error) {
	if err := net.Validate(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if err := errors.Join(opts.Validate(net), net.CheckWeights(w)); err != nil {
		return nil, fmt.Errorf("export of %s: %w", net.Name, err)
	}
	g, err := buildGraph(net.ForInference(), w, opts.KeepBatchNorm)
	if err != nil {
		return nil, fmt.Errorf("export of %s: %w", net.Name, err)
	}
	model := &onnxpb.ModelProto{
		IrVersion:       proto.Int64(irVersion),
		OpsetImport:     []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(opsetVersion)}},
		ProducerName:    proto.String(producer),
		ProducerVersion: proto.String(opts.Version),
		Graph:           g,
	}
	for _, p := range opts.metadata(net).Pairs() {
		model.MetadataProps = append(model.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(p.Key), Value: proto.String(p.Value)})
	}
	if err := checkModel(model); err != nil {
		return nil, fmt.Errorf("export of %s: %w", net.Name, err)
	}
	if size := proto.Size(model); size > maxBytes {
		return nil, fmt.Errorf("export of %s: %w: %d bytes, the limit is %d", net.Name, ErrTooLarge, size, maxBytes)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(model)
}

// WriteFile writes a model's bytes to path. On an error, a full disk included,
// path is as it was before and no partial file is left.
func WriteFile(path string, model []byte) error {
	if err := atomicfile.WriteFile(path, model, 0o644); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
