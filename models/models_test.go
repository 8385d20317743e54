package models

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// everyKind returns a network that holds each layer kind.
func everyKind(t testing.TB) *Network {
	t.Helper()
	b := NewBuilder("every-kind", Shape{C: 3, H: 9, W: 7}, 5)
	x := b.Conv("conv", b.Input(), Conv{Out: 6, Kernel: [2]int{3, 2}, Pad: Pad{Top: 1, Bottom: 1, Right: 1}, Groups: 3, Bias: true})
	x = b.ReLU("relu", b.BatchNorm("bn", x, BatchNorm{Momentum: 0.2}))
	x = b.Concat("concat", b.Input(), x, b.Activation("relu6", x, Activation{Max: 6}))
	gate := b.Sigmoid("gate", b.Dense("fc1", b.GlobalAvgPool("squeeze", x), Dense{Out: 15}), Sigmoid{Hard: true})
	x = b.Multiply("gated", b.Multiply("square", x, x), gate)
	x = b.Multiply("again", x, b.Shared("fc2", gate, "fc1"))
	x = b.MaxPool("maxpool", x, Pool{Kernel: Square(3), Pad: PadAll(1)})
	x = b.Add("add", x, b.AvgPool("avgpool", x, Pool{Kernel: Square(3), Padding: SameUpper, CountPad: true}))
	x = b.Subsample("shortcut", x, Subsample{Stride: 2, Front: 1, Out: 17})
	x = b.Dropout("drop", x, Dropout{Rate: 0.25})
	x = b.Concat("vectors", b.GlobalAvgPool("pool", x), b.Flatten("flatten", x))
	n, err := b.Build(b.Dense("dense", x, Dense{Out: 5, Bias: true}), x)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		if !slices.ContainsFunc(n.Layers, func(l Layer) bool { return l.Kind == kind }) {
			t.Fatalf("the network lacks the kind %q", kind)
		}
	}
	return n
}

func TestConcatShapes(t *testing.T) {
	shapes, err := everyKind(t).Shapes()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shapes["concat"], (Shape{15, 9, 7}); got != want {
		t.Errorf("feature maps give %v, want %v", got, want)
	}
	if got, want := shapes["vectors"], Vector(17+17*5*4); got != want {
		t.Errorf("vectors give %v, want %v", got, want)
	}
	// Doubling a vector again and again must not overflow.
	b := NewBuilder("huge", Shape{3, 8, 8}, 2)
	x := b.Flatten("flat", b.Input())
	for i := range 70 {
		x = b.Concat(fmt.Sprint("double", i), x, x)
	}
	if _, err := b.Build(x, x); err == nil || !strings.Contains(err.Error(), "joins more than") {
		t.Errorf("a vector of 192 * 2^70 values: %v", err)
	}
}

func TestForInference(t *testing.T) {
	b := NewBuilder("dropped", Shape{3, 4, 4}, 2)
	x := b.Dropout("drop1", b.Dropout("drop0", b.Input(), Dropout{Rate: 0.1}), Dropout{Rate: 0.2})
	x = b.GlobalAvgPool("pool", b.Concat("concat", x, b.Input(), "drop0"))
	feature := b.Dropout("drop2", x, Dropout{Rate: 0.5})
	n, err := b.Build(b.Dropout("drop3", b.Dense("dense", feature, Dense{Out: 2}), Dropout{Rate: 0.5}), feature)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := n.JSON()
	b = NewBuilder("dropped", Shape{3, 4, 4}, 2)
	x = b.GlobalAvgPool("pool", b.Concat("concat", b.Input(), b.Input(), b.Input()))
	want, err := b.Build(b.Dense("dense", x, Dense{Out: 2}), x)
	if err != nil {
		t.Fatal(err)
	}
	got := n.ForInference()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if after, _ := n.JSON(); string(after) != string(before) {
		t.Error("the network itself changed")
	}
	if want.ForInference() != want {
		t.Error("a network without dropout is copied")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	nets := []*Network{everyKind(t)}
	for _, a := range Catalog() {
		n, err := Build(a.Name, a.Input, 10)
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, n)
	}
	for _, n := range nets {
		data, err := n.JSON()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(n, back) {
			t.Errorf("%s changed on its way through JSON", n.Name)
		}
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	n := &Network{Name: "bad", Input: Shape{3, 8, 8}, Classes: 10, Logits: "fc", Embedding: "nowhere", Layers: []Layer{
		{Name: "c", Kind: KindConv, Inputs: []string{"input"}, Conv: &Conv{Out: 4, Kernel: Square(9), Stride: Square(1), Dilation: Square(1), Groups: 1}},
		{Name: "r", Kind: "swish", Inputs: []string{"input"}},
		{Name: "g", Kind: KindGlobalAvgPool, Inputs: []string{"later"}},
		{Name: "p", Kind: KindMaxPool, Inputs: []string{"input"}},
		{Name: "one", Kind: KindConcat, Inputs: []string{"input"}},
		{Name: "half", Kind: KindMaxPool, Inputs: []string{"input"}, Pool: &Pool{Kernel: Square(2), Stride: Square(2)}},
		{Name: "cat", Kind: KindConcat, Inputs: []string{"input", "half"}},
		{Name: "d", Kind: KindDropout, Inputs: []string{"input"}, Dropout: &Dropout{Rate: 1}},
		{Name: "s", Kind: KindSigmoid, Inputs: []string{"input"}, Sigmoid: &Sigmoid{}, Activation: &Activation{}},
		{Name: "m", Kind: KindMultiply, Inputs: []string{"input", "half"}},
		{Name: "m1", Kind: KindMultiply, Inputs: []string{"input"}},
		{Name: "flat", Kind: KindFlatten, Inputs: []string{"half"}},
		{Name: "own", Kind: KindDense, Inputs: []string{"flat"}, Dense: &Dense{Out: 3}},
		{Name: "lent", Kind: KindDense, Inputs: []string{"flat"}, Dense: &Dense{Out: 3}, WeightsOf: "own"},
		{Name: "narrow", Kind: KindDense, Inputs: []string{"lent"}, Dense: &Dense{Out: 3}, WeightsOf: "own"},
		{Name: "chain", Kind: KindDense, Inputs: []string{"flat"}, Dense: &Dense{Out: 3}, WeightsOf: "lent"},
		{Name: "biased", Kind: KindDense, Inputs: []string{"flat"}, Dense: &Dense{Out: 3, Bias: true}, WeightsOf: "own"},
		{Name: "early", Kind: KindDense, Inputs: []string{"flat"}, Dense: &Dense{Out: 10}, WeightsOf: "fc"},
		{Name: "bn", Kind: KindBatchNorm, Inputs: []string{"half"}, BatchNorm: &BatchNorm{Epsilon: 1, Momentum: 1}, WeightsOf: "own"},
		{Name: "after", Kind: KindGlobalAvgPool, Inputs: []string{"c"}},
		{Name: "fc", Kind: KindDense, Inputs: []string{"input"}, Dense: &Dense{Out: 10}},
	}}
	err := n.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`"c" (conv): window`, `"r" (swish): unknown kind`, `"g" (global_avg_pool): input "later"`,
		`"p" (max_pool): attributes "pool" are missing`, `"one" (concat): has 1 inputs, needs at least 2`, `"cat" (concat): joins 3x8x8 and 3x4x4`, `"d" (dropout): rate 1 is not between 0 and 1`, `"s" (sigmoid): has attributes "activation" of another kind`, `"m" (multiply): multiplies 3x8x8 by 3x4x4`, `"m1" (multiply): has 1 inputs, needs 2`,
		`"narrow" (dense): reads 3 channels and has the weights of "own", which reads 48`, `"chain" (dense): weights_of "lent", which itself has the weights of "own"`,
		`"biased" (dense): weights_of "own", which is another kind or has other attributes`, `"early" (dense): weights_of "fc" is not an earlier layer`,
		`"bn" (batch_norm): has weights_of, which`, `"nowhere"`, `"fc" (dense): needs a vector`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"after"`) {
		t.Errorf("a consequence is reported as a fault of its own:\n%v", err)
	}
}

// TestAbsurdSizesAreRefused: no product of extents may overflow.
func TestAbsurdSizesAreRefused(t *testing.T) {
	big := Shape{1 << 16, 1 << 16, 1 << 16}
	for name, build := range map[string]func(*Builder) string{
		"weights of a convolution": func(b *Builder) string {
			x := b.Conv("x", b.Input(), Conv{Out: 1 << 16, Kernel: Square(1 << 16)})
			return b.GlobalAvgPool("p", x)
		},
		"flattened": func(b *Builder) string { return b.Flatten("x", b.Input()) },
	} {
		b := NewBuilder("big", big, 2)
		embedding := build(b)
		if _, err := b.Build(b.Dense("fc", embedding, Dense{Out: 2}), embedding); err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInitIsSeededAndScaled(t *testing.T) {
	n, err := Build("resnet8", Shape{3, 32, 32}, 10)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := n.Init(1)
	b, _ := n.Init(1)
	c, _ := n.Init(2)
	if !reflect.DeepEqual(a, b) || reflect.DeepEqual(a, c) {
		t.Error("initial weights must follow the seed alone")
	}
	if err := n.CheckWeights(a); err != nil {
		t.Error(err)
	}
	w := a["layer3.0.conv2.weight"]
	var sum, sq float64
	for _, v := range w {
		sum += float64(v)
		sq += float64(v) * float64(v)
	}
	mean, std := sum/float64(len(w)), math.Sqrt(sq/float64(len(w)))
	if want := math.Sqrt(2.0 / (64 * 9)); math.Abs(std/want-1) > 0.02 || math.Abs(mean) > 0.002 {
		t.Errorf("mean %g, deviation %g, want 0, %g", mean, std, want)
	}
	delete(a, "bn1.bias")
	if err := n.CheckWeights(a); err == nil || !strings.Contains(err.Error(), "bn1.bias") {
		t.Errorf("missing parameter: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	n, _ := Build("convnet", Shape{1, 28, 28}, 10)
	for _, n := range []*Network{n, everyKind(f)} {
		data, _ := json.Marshal(n)
		f.Add(data)
	}
	f.Add([]byte(`{"name":"x","input":{"channels":1},"layers":[{"kind":"conv"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data)
		if err != nil {
			return
		}
		if _, err := n.Params(); err != nil {
			t.Errorf("valid network without parameters: %v", err)
		}
	})
}
