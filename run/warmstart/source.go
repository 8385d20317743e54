package warmstart

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/internal/onnx/onnxweights"
	"github.com/deepmutual/dml/models"
)

// Errors of Open and Match; test with errors.Is. A file that is not there
// gives the file system's error.
var (
	// ErrFormat says that a file holds none of the formats that are read, or
	// is damaged.
	ErrFormat = errors.New("no weights that can be read")
	// ErrShape says that a tensor has the name of a parameter of another shape.
	ErrShape = errors.New("weights of another shape")
	// ErrValues says that a tensor holds values that no network can use.
	ErrValues = errors.New("weights that cannot be used")
	// ErrNothingMatched says that no layer of the file is one of the network.
	ErrNothingMatched = errors.New("no layer of the file is one of the network")
	// ErrPartial says that a file fits less than half of a network's parameters.
	ErrPartial = errors.New("the file fits less than half of the network")
	// ErrOutputs says that a network computes something else with a file's weights
	// than the file does, and that no names say that they are in their places.
	ErrOutputs = errors.New("the network computes something else than the file")
)

// Format names what a file is.
type Format string

// The formats that Open reads.
const (
	ONNX        Format = "ONNX"
	Checkpoint  Format = "checkpoint"
	Safetensors Format = "safetensors"
)

// maxFile bounds the size of a file that is read into memory; it is far above
// that of the networks that train here.
const maxFile = 1 << 30

// Source is the weights of a file.
type Source struct {
	Path   string // of the file
	Format Format
	SHA256 string // of the file, in hexadecimal
	// Classes are the names of the classes, nil where the file has none.
	Classes []string

	layers []layer
	graph  graph    // of the layers; empty where the file knows none
	others []Tensor // that belong to no layer
	onnx   []byte   // the file itself, to compare its outputs; nil of other formats
}

// layer is a layer with weights, of a file or of a network.
type layer struct {
	name    string // "" where the file gives none
	kind    models.Kind
	tensors [models.RoleRunningVar + 1]*tensor // by role; nil for what is not there
	follows int                                // of a batch norm: index of the convolution or dense layer that it normalises; or -1

	epsilon    float32 // of a batch norm
	hasEpsilon bool    // epsilon is known
}

type tensor struct {
	name  string
	shape []int
	data  []float32
}

// Open reads the weights of a file: an ONNX model, a checkpoint, or
// safetensors. The error names the file and wraps the file system's, ErrFormat,
// or what train.ParseState wraps.
func Open(path string) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is not a regular file", path, ErrFormat)
	}
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	src, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	src.Path, src.SHA256 = path, hex.EncodeToString(sum[:])
	return src, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: %w: it is larger than %d bytes", path, ErrFormat, maxFile)
	}
	return data, nil
}

// parse reads a file's bytes in whatever format they are.
func parse(data []byte) (*Source, error) {
	for _, other := range []struct{ magic, advice string }{
		{"PK\x03\x04", "a PyTorch or other zip file: save its state_dict as safetensors"},
		{"\x80\x02", "a pickle: save its state_dict as safetensors"},
		{"\x80\x04", "a pickle: save its state_dict as safetensors"},
		{"\x80\x05", "a pickle: save its state_dict as safetensors"},
		{"\x89HDF", "an HDF5 file: convert the model to ONNX"},
	} {
		if bytes.HasPrefix(data, []byte(other.magic)) {
			return nil, fmt.Errorf("%w: it is %s", ErrFormat, other.advice)
		}
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	if src, err := parseCheckpoint(data); !errors.Is(err, checkpoint.ErrFormat) {
		return src, err
	}
	if isSafetensors(data) {
		return parseSafetensors(data)
	}
	model, err := onnxweights.Parse(data)
	if errors.Is(err, onnxweights.ErrNotONNX) {
		return nil, fmt.Errorf("%w: it is neither a checkpoint nor a safetensors file, and %w", ErrFormat, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	src := fromONNX(model)
	src.onnx = data
	return src, nil
}

// layersOf returns the layers of a network that have weights, in its order;
// their tensors share the values of w.
func layersOf(net *models.Network, w models.Weights) ([]layer, error) {
	params, err := net.Params()
	if err != nil {
		return nil, err
	}
	var out []layer
	index := make(map[string]int) // by name
	for _, p := range params {
		at, ok := index[p.Layer]
		if !ok {
			at = len(out)
			index[p.Layer] = at
			l, _ := net.Layer(p.Layer)
			own := layer{name: p.Layer, kind: l.Kind, follows: -1}
			if l.Kind == models.KindBatchNorm {
				own.epsilon, own.hasEpsilon = l.BatchNorm.Epsilon, true
				if before, ok := index[l.Inputs[0]]; ok && out[before].kind != models.KindBatchNorm {
					own.follows = before
				}
			}
			out = append(out, own)
		}
		out[at].tensors[p.Role] = &tensor{p.Name, p.Shape, w[p.Name]}
	}
	return out, nil
}

// Folded reports whether the file has folded batch norms into other layers, as far
// as can be told without a network: it knows the graph, and convolutions have
// biases in it.
func (s *Source) Folded() bool {
	return len(s.graph) > 0 && slices.ContainsFunc(s.layers, func(l layer) bool {
		return l.kind == models.KindConv && l.tensors[models.RoleBias] != nil
	})
}

// unique takes the name from layers that share it with an earlier one of their
// kind: it says nothing then.
func unique(layers []layer) {
	type key struct {
		name string
		kind models.Kind
	}
	seen := make(map[key]bool)
	for i := range layers {
		k := key{layers[i].name, layers[i].kind}
		if seen[k] {
			layers[i].name = ""
		}
		seen[k] = true
	}
}
