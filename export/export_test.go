package export

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// randomWeights returns weights in which no batch norm is the identity.
func randomWeights(t testing.TB, net *models.Network, seed uint64) models.Weights {
	t.Helper()
	w, err := net.Init(seed)
	if err != nil {
		t.Fatal(err)
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, p := range params {
		v := w[p.Name]
		for i := range v {
			switch p.Role {
			case models.RoleGamma, models.RoleRunningVar:
				v[i] = 0.5 + rng.Float32()
			case models.RoleBeta, models.RoleBias, models.RoleRunningMean:
				v[i] = rng.Float32() - 0.5
			}
		}
	}
	return w
}

func build(t testing.TB, name string, in models.Shape, classes int) *models.Network {
	t.Helper()
	net, err := models.Build(name, in, classes)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// everyKind returns a network that holds each layer kind and attribute, with
// names that the graph's own tensors would like to have.
func everyKind(t testing.TB) *models.Network {
	t.Helper()
	b := models.NewBuilder("every-kind", models.Shape{C: 3, H: 13, W: 11}, 5)
	x := b.Conv("logits", b.Input(), models.Conv{Out: 8, Kernel: [2]int{3, 2}, Stride: [2]int{2, 1}, Dilation: [2]int{1, 2},
		Pad: models.Pad{Top: 1, Left: 0, Bottom: 2, Right: 1}, Bias: true})
	x = b.BatchNorm("bn", x, models.BatchNorm{Epsilon: 1e-3})
	x = b.Activation("embedding", x, models.Activation{Max: 6})
	y := b.Conv("depthwise", x, models.Conv{Out: 8, Kernel: models.Square(3), Pad: models.PadAll(1), Groups: 8})
	y = b.BatchNorm("bn2", y, models.BatchNorm{})
	x = b.Add("probabilities", x, y)
	x = b.Dropout("dropout", b.Concat("concat", x, y, x), models.Dropout{Rate: 0.5})
	x = b.MaxPool("maxpool", x, models.Pool{Kernel: models.Square(3), Stride: models.Square(2), Pad: models.PadAll(1)})
	x = b.AvgPool("avgpool", x, models.Pool{Kernel: models.Square(2), Pad: models.Pad{Bottom: 1, Right: 1}, CountPad: true})
	x = b.Subsample("shortcut", x, models.Subsample{Stride: 2, Front: 2, Out: 28})
	x = b.BatchNorm("bn3", x, models.BatchNorm{})
	flat := b.Flatten("flat", x)
	fc := b.Dense("fc", flat, models.Dense{Out: 7})
	b.GlobalAvgPool("unused", x)
	net, err := b.Build(b.Dense("scores", b.ReLU("relu", fc), models.Dense{Out: 5, Bias: true}), "relu")
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func marshal(t testing.TB, net *models.Network, w models.Weights, opts Options) []byte {
	t.Helper()
	data, err := Marshal(net, w, opts)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, data []byte) *onnxpb.ModelProto {
	t.Helper()
	var m onnxpb.ModelProto
	if err := proto.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

func operators(m *onnxpb.ModelProto) map[string]int {
	ops := map[string]int{}
	for _, n := range m.Graph.Node {
		ops[n.GetOpType()]++
	}
	return ops
}

func TestMarshalResNet(t *testing.T) {
	net := build(t, "resnet20", models.Shape{C: 3, H: 32, W: 32}, 10)
	w := randomWeights(t, net, 1)
	opts := Options{Mean: []float32{.5, .4, .3}, Std: []float32{.2, .2, .2}, Dataset: "cifar10", Mode: "dml", Version: "1.2.3"}
	data := marshal(t, net, w, opts)
	if err := Check(data); err != nil {
		t.Error(err)
	}
	if again := marshal(t, net, w.Clone(), opts); !bytes.Equal(data, again) {
		t.Error("equal arguments gave different bytes")
	}
	m := parse(t, data)
	want := map[string]int{"Conv": 19 + 2, "Relu": 19, "Add": 9, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1, "Softmax": 1}
	if got := operators(m); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("operators %v, want %v", got, want)
	}
	if m.GetIrVersion() != 8 || m.OpsetImport[0].GetVersion() != 17 {
		t.Errorf("IR version %d, opset %d", m.GetIrVersion(), m.OpsetImport[0].GetVersion())
	}
	var names []string
	for _, o := range m.Graph.Output {
		names = append(names, o.GetName())
	}
	if strings.Join(names, " ") != "logits probabilities embedding" || m.Graph.Input[0].GetName() != "input" {
		t.Errorf("input %s, outputs %v", m.Graph.Input[0].GetName(), names)
	}
	props := map[string]string{}
	for _, p := range m.MetadataProps {
		props[p.GetKey()] = p.GetValue()
	}
	meta, err := onnxmeta.Parse(props)
	if err != nil {
		t.Fatal(err)
	}
	if meta.Architecture != "resnet20" || meta.Classes[9] != "9" || meta.Height != 32 || meta.Mean[1] != .4 || meta.Mode != "dml" {
		t.Errorf("metadata %+v", meta)
	}

	opts.KeepBatchNorm = true
	if got := operators(parse(t, marshal(t, net, w, opts))); got["BatchNormalization"] != 19 || got["Conv"] != 21 {
		t.Errorf("kept batch norms: %v", got)
	}
}

// TestFoldOnlyWhenAlone keeps the batch norm where something else reads its
// convolution too.
func TestFoldOnlyWhenAlone(t *testing.T) {
	b := models.NewBuilder("forked", models.Shape{C: 2, H: 4, W: 4}, 2)
	c := b.Conv("conv", b.Input(), models.Conv{Out: 3, Kernel: models.Square(1)})
	x := b.Add("add", b.BatchNorm("bn", c, models.BatchNorm{}), c)
	e := b.GlobalAvgPool("pool", x)
	net, err := b.Build(b.Dense("fc", e, models.Dense{Out: 2}), e)
	if err != nil {
		t.Fatal(err)
	}
	w := randomWeights(t, net, 1)
	if got := operators(parse(t, marshal(t, net, w, Options{}))); got["BatchNormalization"] != 1 {
		t.Errorf("operators %v", got)
	}
}

// TestDropoutLeavesNoNode: readers of a dropout, and outputs that name one,
// read what it reads.
func TestDropoutLeavesNoNode(t *testing.T) {
	network := func(dropout bool, logits, embedding string) *models.Network {
		b := models.NewBuilder("dropout", models.Shape{C: 3, H: 4, W: 4}, 2)
		drop := func(name, in string) string {
			if !dropout {
				return in
			}
			return b.Dropout(name, in, models.Dropout{Rate: 0.5})
		}
		x := b.Conv("conv", drop("drop1", b.Input()), models.Conv{Out: 4, Kernel: models.Square(3)})
		x = b.BatchNorm("bn", drop("drop2", x), models.BatchNorm{}) // folds all the same
		x = drop("drop4", drop("drop3", b.GlobalAvgPool("pool", x)))
		drop("drop5", b.Dense("dense", x, models.Dense{Out: 2}))
		if !dropout {
			plain := map[string]string{"drop4": "pool", "drop5": "dense"}
			logits, embedding = plain[logits], plain[embedding]
		}
		net, err := b.Build(logits, embedding)
		if err != nil {
			t.Fatal(err)
		}
		return net
	}
	for _, outputs := range [][2]string{{"drop5", "drop4"}, {"drop5", "drop5"}} {
		with, without := network(true, outputs[0], outputs[1]), network(false, outputs[0], outputs[1])
		w := randomWeights(t, with, 1)
		if got, want := marshal(t, with, w, Options{}), marshal(t, without, w, Options{}); !bytes.Equal(got, want) {
			t.Errorf("outputs %v: dropout changes the file: operators %v, want %v", outputs, operators(parse(t, got)), operators(parse(t, want)))
		}
	}
}

// TestFoldValues works one channel out by hand.
func TestFoldValues(t *testing.T) {
	b := models.NewBuilder("fold", models.Shape{C: 1, H: 1, W: 1}, 2)
	x := b.BatchNorm("bn", b.Conv("conv", b.Input(), models.Conv{Out: 1, Kernel: models.Square(1), Bias: true}), models.BatchNorm{Epsilon: 1})
	e := b.Flatten("flat", x)
	net, err := b.Build(b.Dense("fc", e, models.Dense{Out: 2}), e)
	if err != nil {
		t.Fatal(err)
	}
	w := models.Weights{"conv.weight": {3}, "conv.bias": {5}, "fc.weight": {1, 2},
		"bn.weight": {4}, "bn.bias": {7}, "bn.running_mean": {1}, "bn.running_var": {3}}
	g := parse(t, marshal(t, net, w, Options{})).Graph
	// The scale is 4 / sqrt(3 + 1) = 2: weight 6, bias (5 - 1) * 2 + 7 = 15.
	for i, want := range []float32{6, 15} {
		raw := g.Initializer[i].RawData
		got := math.Float32frombits(uint32(raw[0]) | uint32(raw[1])<<8 | uint32(raw[2])<<16 | uint32(raw[3])<<24)
		if got != want {
			t.Errorf("%s is %v, want %v", g.Initializer[i].GetName(), got, want)
		}
	}
}

func TestMarshalFaults(t *testing.T) {
	net := build(t, "convnet", models.Shape{C: 1, H: 28, W: 28}, 10)
	for name, tc := range map[string]struct {
		change func(w models.Weights, o *Options)
		want   []string
	}{
		"missing":  {func(w models.Weights, _ *Options) { delete(w, "conv2.weight") }, []string{"conv2.weight"}},
		"size":     {func(w models.Weights, _ *Options) { w["linear.bias"] = w["linear.bias"][:3] }, []string{"linear.bias"}},
		"nan":      {func(w models.Weights, _ *Options) { w["linear.bias"][3] = float32(math.NaN()) }, []string{"linear.bias", "NaN"}},
		"overflow": {func(w models.Weights, _ *Options) { w["bn1.weight"][0] = float32(math.Inf(1)) }, []string{"conv1"}},
		"variance": {func(w models.Weights, _ *Options) { w["bn3.running_var"][1] = -1 }, []string{"bn3.running_var", "channel 1"}},
		"options": {func(_ models.Weights, o *Options) {
			o.Classes, o.Mean, o.Std = []string{"a", "b"}, []float32{1, 2}, []float32{0}
		}, []string{"2 class names", onnxmeta.KeyMean, onnxmeta.KeyStd}},
	} {
		w, opts := randomWeights(t, net, 1), Options{}
		tc.change(w, &opts)
		_, err := Marshal(net, w, opts)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q lacks %q", name, err, want)
			}
		}
	}
	if _, err := Marshal(&models.Network{Name: "empty"}, nil, Options{}); err == nil {
		t.Error("an invalid network was accepted")
	}
}

func TestCheckFindsFaults(t *testing.T) {
	net := everyKind(t)
	data := marshal(t, net, randomWeights(t, net, 1), Options{})
	if err := Check(data); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(m *onnxpb.ModelProto)
		want   string
	}{
		"order":       {func(m *onnxpb.ModelProto) { n := m.Graph.Node; n[0], n[1] = n[1], n[0] }, "nothing before it produces"},
		"duplicate":   {func(m *onnxpb.ModelProto) { m.Graph.Initializer = append(m.Graph.Initializer, m.Graph.Initializer[0]) }, "an initializer and from an initializer"},
		"output":      {func(m *onnxpb.ModelProto) { m.Graph.Output[0].Name = proto.String("nowhere") }, `output "nowhere"`},
		"two sources": {func(m *onnxpb.ModelProto) { m.Graph.Node[1].Output[0] = m.Graph.Node[0].Output[0] }, "comes from"},
		"node name":   {func(m *onnxpb.ModelProto) { m.Graph.Node[1].Name = m.Graph.Node[0].Name }, "two nodes"},
		"size":        {func(m *onnxpb.ModelProto) { t := m.Graph.Initializer[0]; t.RawData = t.RawData[1:] }, "bytes, needs"},
		"dims":        {func(m *onnxpb.ModelProto) { m.Graph.Initializer[0].Dims = []int64{1 << 40, 1 << 40} }, "has the shape"},
		"opset":       {func(m *onnxpb.ModelProto) { m.OpsetImport = nil }, "operator set"},
		"metadata":    {func(m *onnxpb.ModelProto) { m.MetadataProps = append(m.MetadataProps, m.MetadataProps[0]) }, "occurs twice"},
		"graph":       {func(m *onnxpb.ModelProto) { m.Graph = nil }, "no graph"},
	} {
		m := parse(t, data)
		tc.change(m)
		bad, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(bad); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if err := Check([]byte("PNG, not protobuf")); !errors.Is(err, ErrNotONNX) {
		t.Errorf("text: %v", err)
	}
	if err := Check(data[:len(data)/2]); !errors.Is(err, ErrNotONNX) {
		t.Errorf("truncated: %v", err)
	}
}

// TestSharedLogitsAndEmbedding exports a network whose feature is its logits.
func TestSharedLogitsAndEmbedding(t *testing.T) {
	b := models.NewBuilder("one", models.Shape{C: 2, H: 2, W: 2}, 8)
	f := b.Flatten("flat", b.Input())
	net, err := b.Build(f, f)
	if err != nil {
		t.Fatal(err)
	}
	data := marshal(t, net, nil, Options{})
	if err := Check(data); err != nil {
		t.Error(err)
	}
	if ops := operators(parse(t, data)); ops["Identity"] != 1 {
		t.Errorf("operators %v", ops)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.onnx")
	if err := WriteFile(path, []byte("model")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "model" {
		t.Errorf("%q, %v", got, err)
	}
	if err := WriteFile(filepath.Join(path, "b"), nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name the file", err)
	}
}

func FuzzCheck(f *testing.F) {
	net := build(f, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2)
	w, err := net.Init(1)
	if err != nil {
		f.Fatal(err)
	}
	data, err := Marshal(net, w, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:200])
	f.Add(data)
	f.Add([]byte{0x3a, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Check(data) // it must return, whatever the bytes
	})
}
