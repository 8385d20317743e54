package lower_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"google.golang.org/protobuf/proto"
	"gorgonia.org/tensor"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseONNX(t *testing.T, data []byte) *onnxpb.ModelProto {
	t.Helper()
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// initializers returns the weights of an ONNX file that belong to a network.
func initializers(t *testing.T, net *models.Network, data []byte) models.Weights {
	t.Helper()
	all := make(models.Weights)
	for _, tensor := range parseONNX(t, data).Graph.Initializer {
		v := slices.Clone(tensor.FloatData)
		for raw := tensor.RawData; len(raw) >= 4; raw = raw[4:] {
			v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
		all[tensor.GetName()] = v
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	w := make(models.Weights)
	for _, p := range params {
		if v, ok := all[p.Name]; ok {
			w[p.Name] = v
		}
	}
	if err := net.CheckWeights(w); err != nil {
		t.Fatal(err)
	}
	return w
}

// pretrained returns the ResNet-32 that others trained on CIFAR-10, its weights
// under our names.
func pretrained(t *testing.T) (*models.Network, models.Weights) {
	t.Helper()
	net := build(t, "resnet32", models.Shape{C: 3, H: 32, W: 32})
	return net, initializers(t, net, readFile(t, datatest.Shared(t, "pretrained", "resnet32-cifar10.onnx")))
}

// cifarMean and cifarStd are what the pretrained network's images are
// normalised with.
var (
	cifarMean = []float32{0.485, 0.456, 0.406}
	cifarStd  = []float32{0.229, 0.224, 0.225}
)

// cifar returns the first n images, normalised, of the exact ones, and their
// labels.
func cifar(t *testing.T, n int) (images []float32, labels []int) {
	t.Helper()
	const plane = 32 * 32
	records := readFile(t, datatest.Shared(t, "cifar10-lossless4k.bin"))
	for i := range n {
		record := records[i*(1+3*plane) : (i+1)*(1+3*plane)]
		labels = append(labels, int(record[0]))
		for j, v := range record[1:] {
			images = append(images, (float32(v)/255-cifarMean[j/plane])/cifarStd[j/plane])
		}
	}
	return images, labels
}

// checkAccuracy compares the classes of logits, [n, 10], with labels.
func checkAccuracy(t *testing.T, where string, logits []float32, labels []int) {
	t.Helper()
	right := 0
	for i, label := range labels {
		row := logits[i*10 : (i+1)*10]
		if slices.Index(row, slices.Max(row)) == label {
			right++
		}
	}
	accuracy := float64(right) / float64(len(labels))
	t.Logf("%s: %d of %d right, accuracy %.4f", where, right, len(labels), accuracy)
	if accuracy < 0.999 {
		t.Errorf("%s: accuracy %.4f, want at least 0.999", where, accuracy)
	}
}

// evaluate runs the Gorgonia graph over images in batches.
func evaluate(t *testing.T, net *models.Network, w models.Weights, backend kernel.Backend, batch int, images []float32) []float32 {
	t.Helper()
	n := compile(t, net, newEngine(t, backend), lower.Options{Batch: batch})
	if err := n.SetWeights(w); err != nil {
		t.Fatal(err)
	}
	size := net.Input.Size()
	var logits []float32
	for len(images) > 0 {
		filled := copy(n.Input(), images)
		clear(n.Input()[filled:])
		images = images[filled:]
		run(t, n.Forward)
		logits = append(logits, n.Logits()[:filled/size*net.Classes]...)
	}
	return logits
}

func TestPretrainedResNet32(t *testing.T) {
	net, w := pretrained(t)
	t.Run("ref", func(t *testing.T) {
		images, labels := cifar(t, 20) // it is slow
		checkAccuracy(t, "Gorgonia on ref", evaluate(t, net, w, ref.New(), 8, images), labels)
	})
	t.Run("onednn", func(t *testing.T) {
		images, labels := cifar(t, 4000)
		checkAccuracy(t, "Gorgonia on oneDNN", evaluate(t, net, w, openOneDNN(t), 64, images), labels)
	})
	t.Run("onnxruntime", func(t *testing.T) {
		images, labels := cifar(t, 4000)
		model, err := export.Marshal(net, w, export.Options{Mean: cifarMean, Std: cifarStd})
		if err != nil {
			t.Fatal(err)
		}
		out, err := openExported(t, model).Run(context.Background(), images, len(labels))
		if err != nil {
			t.Fatal(err)
		}
		checkAccuracy(t, "ONNX Runtime on the export", out.Logits, labels)
	})
}

// onlyOutput returns the model reduced to one of its outputs and a fixed batch:
// onnx-go leaves every other output zero, without an error, and wants its
// shapes known.
func onlyOutput(t *testing.T, model []byte, output string, batch int) []byte {
	t.Helper()
	m := parseONNX(t, model)
	m.Graph.Output = slices.DeleteFunc(m.Graph.Output, func(v *onnxpb.ValueInfoProto) bool { return v.GetName() != output })
	needed := map[string]bool{output: true}
	nodes := m.Graph.Node
	for i := len(nodes) - 1; i >= 0; i-- { // in topological order
		if slices.ContainsFunc(nodes[i].Output, func(name string) bool { return needed[name] }) {
			for _, name := range nodes[i].Input {
				needed[name] = true
			}
		}
	}
	m.Graph.Node = slices.DeleteFunc(nodes, func(n *onnxpb.NodeProto) bool { return !needed[n.Output[0]] })
	m.Graph.Initializer = slices.DeleteFunc(m.Graph.Initializer, func(v *onnxpb.TensorProto) bool { return !needed[v.GetName()] })
	for _, v := range append(m.Graph.Input, m.Graph.Output...) {
		v.Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(batch)}
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestONNXGoReadsExports runs our files in an independent reader.
func TestONNXGoReadsExports(t *testing.T) {
	const batch = 2
	for _, name := range []string{"resnet8", "resnet32"} {
		for _, keep := range []bool{false, true} {
			net := build(t, name, models.Shape{C: 3, H: 32, W: 32})
			w := randomWeights(t, net)
			engine := newEngine(t, ref.New())
			n := compile(t, net, engine, lower.Options{Batch: batch})
			if err := n.SetWeights(w); err != nil {
				t.Fatal(err)
			}
			fill(newRand(), n.Input())
			run(t, n.Forward)
			probabilities := softmax(t, engine, n.Logits(), batch)
			model, err := export.Marshal(net, w, export.Options{KeepBatchNorm: keep})
			if err != nil {
				t.Fatal(err)
			}
			for output, want := range map[string][]float32{"logits": n.Logits(), "probabilities": probabilities, "embedding": n.Embedding()} {
				got := runONNXGo(t, onlyOutput(t, model, output, batch), tensor.Shape{batch, 3, 32, 32}, n.Input())
				checkNear(t, name+" in onnx-go: "+output, got, want, 1e-4)
			}
		}
	}
}

func runONNXGo(t *testing.T, model []byte, shape tensor.Shape, input []float32) []float32 {
	t.Helper()
	backend := gorgonnx.NewGraph()
	m := onnx.NewModel(backend)
	if err := m.UnmarshalBinary(bytes.Clone(model)); err != nil {
		t.Fatal(err)
	}
	if err := m.SetInput(0, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(input)))); err != nil {
		t.Fatal(err)
	}
	if err := backend.Run(); err != nil {
		t.Fatal(err)
	}
	out, err := m.GetOutputTensors()
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Data().([]float32)
}
