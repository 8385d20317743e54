package export

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/internal/onnx/onnxcheck"
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
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
	graph, err := one(net.ForInference(), w, opts)
	if err != nil {
		return nil, fmt.Errorf("export of %s: %w", net.Name, err)
	}
	data, err := encode(graph, opts.metadata(net))
	if err != nil {
		return nil, fmt.Errorf("export of %s: %w", net.Name, err)
	}
	return data, nil
}

// one builds the graph of a single network.
func one(net *models.Network, w models.Weights, opts Options) (*onnxpb.GraphProto, error) {
	b, input := newBuilder(net.Name, net.Input, opts)
	s, err := b.add("", input, net, w, opts.KeepBatchNorm)
	if err != nil {
		return nil, err
	}
	for _, name := range Outputs() {
		if opts.wants(name) {
			b.output(name, s.shapeOf(name))
		}
	}
	return b.graph(), nil
}

// encode writes a file of that graph and metadata.
func encode(graph *onnxpb.GraphProto, meta onnxmeta.Metadata) ([]byte, error) {
	model := &onnxpb.ModelProto{
		IrVersion:       proto.Int64(irVersion),
		OpsetImport:     []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(opsetVersion)}},
		ProducerName:    proto.String(producer),
		ProducerVersion: proto.String(meta.Toolkit),
		Graph:           graph,
	}
	for _, p := range meta.Pairs() {
		model.MetadataProps = append(model.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(p.Key), Value: proto.String(p.Value)})
	}
	if err := onnxcheck.Model(model); err != nil {
		return nil, err
	}
	if size := proto.Size(model); size > maxBytes {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, maxBytes)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(model)
}

// WriteFile writes a model's bytes to path. On an error, a full disk included,
// path is as it was before and no partial file is left.
func WriteFile(path string, model []byte) error {
	if err := files.WriteFile(path, model, 0o644); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
