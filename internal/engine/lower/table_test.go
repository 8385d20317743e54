package lower_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/models"
)

// row is a layer with some of its attributes away from their defaults.
type row struct {
	name  string
	kind  models.Kind
	layer func(b *models.Builder, in string) string
	// vector says that the layer is to read a vector.
	vector bool
}

// rowInput has few symmetries: no two extents are equal.
var rowInput = models.Shape{C: 4, H: 7, W: 6}

func convRow(name string, a models.Conv) row {
	return row{name: "conv " + name, kind: models.KindConv, layer: func(b *models.Builder, in string) string { return b.Conv("layer", in, a) }}
}

func maxPoolRow(name string, a models.Pool) row {
	return row{name: "max pool " + name, kind: models.KindMaxPool, layer: func(b *models.Builder, in string) string { return b.MaxPool("layer", in, a) }}
}

func avgPoolRow(name string, a models.Pool) row {
	return row{name: "average pool " + name, kind: models.KindAvgPool, layer: func(b *models.Builder, in string) string { return b.AvgPool("layer", in, a) }}
}

func normRow(name string, a models.BatchNorm) row {
	return row{name: "batch norm " + name, kind: models.KindBatchNorm, layer: func(b *models.Builder, in string) string { return b.BatchNorm("layer", in, a) }}
}

func actRow(name string, a models.Activation) row {
	return row{name: "activation " + name, kind: models.KindActivation, layer: func(b *models.Builder, in string) string { return b.Activation("layer", in, a) }}
}

func denseRow(name string, a models.Dense) row {
	return row{name: "dense " + name, kind: models.KindDense, vector: true, layer: func(b *models.Builder, in string) string { return b.Dense("layer", in, a) }}
}

func subsampleRow(name string, a models.Subsample) row {
	return row{name: "subsample " + name, kind: models.KindSubsample, layer: func(b *models.Builder, in string) string { return b.Subsample("layer", in, a) }}
}

// rows holds every layer kind with every attribute.
func rows() []row {
	all := []row{
		convRow("1x1", models.Conv{Out: 5, Kernel: models.Square(1)}),
		convRow("3x2", models.Conv{Out: 5, Kernel: [2]int{3, 2}}),
		convRow("stride", models.Conv{Out: 3, Kernel: models.Square(3), Stride: [2]int{2, 3}}),
		convRow("dilation", models.Conv{Out: 3, Kernel: models.Square(2), Dilation: [2]int{3, 2}}),
		convRow("padding", models.Conv{Out: 3, Kernel: models.Square(3), Pad: models.PadAll(1)}),
		convRow("padding at top and left", models.Conv{Out: 3, Kernel: models.Square(3), Pad: models.Pad{Top: 2, Left: 1}}),
		convRow("padding as TensorFlow", models.Conv{Out: 3, Kernel: models.Square(3), Stride: models.Square(2), Pad: models.Pad{Bottom: 1, Right: 1}}),
		convRow("padding as its input asks", models.Conv{Out: 3, Kernel: models.Square(3), Stride: models.Square(2), Padding: models.SameUpper}),
		convRow("padding for a dilation", models.Conv{Out: 3, Kernel: [2]int{4, 2}, Dilation: [2]int{1, 3}, Padding: models.SameUpper}),
		convRow("groups", models.Conv{Out: 6, Kernel: models.Square(3), Groups: 2}),
		convRow("depthwise", models.Conv{Out: 4, Kernel: models.Square(3), Groups: 4, Pad: models.PadAll(1)}),
		convRow("bias", models.Conv{Out: 17, Kernel: models.Square(3), Bias: true}),
		convRow("everything", models.Conv{Out: 8, Kernel: [2]int{2, 3}, Stride: [2]int{2, 1}, Dilation: [2]int{2, 1}, Pad: models.Pad{Top: 1, Left: 2, Bottom: 3, Right: 0}, Groups: 2, Bias: true}),
		normRow("plain", models.BatchNorm{}),
		normRow("epsilon", models.BatchNorm{Epsilon: 0.1}),
		normRow("momentum", models.BatchNorm{Momentum: 0.5}),
		actRow("unbounded", models.Activation{}),
		actRow("bounded", models.Activation{Max: 0.5}),
		{name: "batch norm of a vector", kind: models.KindBatchNorm, vector: true, layer: func(b *models.Builder, in string) string {
			return b.BatchNorm("layer", b.Dense("dense", in, models.Dense{Out: 9}), models.BatchNorm{Momentum: 0.2})
		}},
		{name: "sigmoid", kind: models.KindSigmoid, layer: func(b *models.Builder, in string) string {
			return b.Sigmoid("layer", in, models.Sigmoid{})
		}},
		{name: "sigmoid, hard, of a vector", kind: models.KindSigmoid, vector: true, layer: func(b *models.Builder, in string) string {
			return b.Sigmoid("layer", in, models.Sigmoid{Hard: true})
		}},
		{name: "multiply", kind: models.KindMultiply, layer: func(b *models.Builder, in string) string {
			return b.Multiply("layer", in, b.Sigmoid("swish", in, models.Sigmoid{}))
		}},
		{name: "multiply by itself", kind: models.KindMultiply, layer: func(b *models.Builder, in string) string {
			return b.Multiply("layer", in, in)
		}},
		{name: "multiply vectors", kind: models.KindMultiply, vector: true, layer: func(b *models.Builder, in string) string {
			return b.Multiply("layer", in, b.Sigmoid("gate", in, models.Sigmoid{}))
		}},
		{name: "multiply by a vector", kind: models.KindMultiply, layer: func(b *models.Builder, in string) string {
			wide := b.Conv("wide", in, models.Conv{Out: 17, Kernel: models.Square(3), Pad: models.PadAll(1)})
			return b.Multiply("layer", wide, b.Dense("gate", b.GlobalAvgPool("squeeze", in), models.Dense{Out: 17}))
		}},
		{name: "multiply by a pixel", kind: models.KindMultiply, layer: func(b *models.Builder, in string) string {
			wide := b.Conv("wide", in, models.Conv{Out: 17, Kernel: models.Square(1)})
			return b.Multiply("layer", wide, b.Conv("gate", in, models.Conv{Out: 17, Kernel: [2]int{rowInput.H, rowInput.W}}))
		}},
		{name: "weights of a convolution", kind: models.KindConv, layer: func(b *models.Builder, in string) string {
			once := b.Conv("owner", in, models.Conv{Out: 4, Kernel: models.Square(3), Pad: models.PadAll(1), Bias: true})
			return b.Shared("layer", b.ReLU("relu", once), "owner")
		}},
		{name: "weights of a dense layer", kind: models.KindDense, vector: true, layer: func(b *models.Builder, in string) string {
			first := b.Dense("owner", in, models.Dense{Out: 5, Bias: true})
			return b.Multiply("product", first, b.Shared("layer", b.ReLU("relu", in), "owner"))
		}},
		{name: "weights of a convolution with batch norms", kind: models.KindConv, layer: func(b *models.Builder, in string) string {
			in = b.Sigmoid("sigmoid1", in, models.Sigmoid{}) // or the batch norm would take the effect of a bias back
			x := b.BatchNorm("bn1", b.Conv("owner", in, models.Conv{Out: 4, Kernel: models.Square(1)}), models.BatchNorm{})
			return b.BatchNorm("bn2", b.Shared("layer", b.Sigmoid("sigmoid2", x, models.Sigmoid{}), "owner"), models.BatchNorm{})
		}},
		{name: "add", kind: models.KindAdd, layer: func(b *models.Builder, in string) string { return b.Add("layer", in, in) }},
		{name: "add of vectors", kind: models.KindAdd, vector: true, layer: func(b *models.Builder, in string) string { return b.Add("layer", in, in) }},
		{name: "concat", kind: models.KindConcat, layer: func(b *models.Builder, in string) string {
			wide := b.Conv("wide", in, models.Conv{Out: 17, Kernel: models.Square(3), Pad: models.PadAll(1)})
			return b.Concat("layer", in, wide, b.ReLU("relu", in), in)
		}},
		{name: "concat with the input", kind: models.KindConcat, layer: func(b *models.Builder, in string) string {
			return b.Concat("layer", b.Conv("wide", in, models.Conv{Out: 16, Kernel: models.Square(1)}), b.Input())
		}},
		{name: "concat of vectors", kind: models.KindConcat, vector: true, layer: func(b *models.Builder, in string) string {
			return b.Concat("layer", in, b.Dense("dense", in, models.Dense{Out: 3}))
		}},
		{name: "dropout", kind: models.KindDropout, layer: func(b *models.Builder, in string) string {
			return b.Dropout("layer", b.Dropout("before it", in, models.Dropout{Rate: 0.1}), models.Dropout{Rate: 0.25})
		}},
		{name: "dropout of a vector", kind: models.KindDropout, vector: true, layer: func(b *models.Builder, in string) string {
			return b.Dropout("layer", in, models.Dropout{Rate: 0.5})
		}},
		{name: "global average pool", kind: models.KindGlobalAvgPool, layer: func(b *models.Builder, in string) string { return b.GlobalAvgPool("layer", in) }},
		{name: "flatten", kind: models.KindFlatten, layer: func(b *models.Builder, in string) string { return b.Flatten("layer", in) }},
		denseRow("plain", models.Dense{Out: 5}),
		denseRow("bias", models.Dense{Out: 5, Bias: true}),
		subsampleRow("stride", models.Subsample{Stride: 2, Out: 4}),
		subsampleRow("front", models.Subsample{Stride: 1, Front: 1, Out: 7}),
		subsampleRow("stride and channels", models.Subsample{Stride: 3, Front: 2, Out: 8}),
	}
	vector := actRow("of a vector", models.Activation{Max: 0.5})
	vector.vector = true
	all = append(all, vector)
	for name, a := range map[string]models.Pool{
		"3x2":                  {Kernel: [2]int{3, 2}},
		"stride":               {Kernel: models.Square(2), Stride: [2]int{2, 3}},
		"padding":              {Kernel: models.Square(3), Stride: models.Square(2), Pad: models.Pad{Top: 1, Left: 2, Bottom: 2, Right: 1}},
		"padding counted":      {Kernel: models.Square(3), Stride: models.Square(2), Pad: models.Pad{Top: 1, Left: 2, Bottom: 2, Right: 1}, CountPad: true},
		"as its input asks":    {Kernel: [2]int{3, 2}, Stride: models.Square(2), Padding: models.SameUpper},
		"one-sided, not whole": {Kernel: models.Square(3), Stride: models.Square(3), Pad: models.Pad{Bottom: 1}},
	} {
		all = append(all, maxPoolRow(name, a), avgPoolRow(name, a))
	}
	slices.SortFunc(all, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return all
}

// network wraps the row's layer so that all its values are the embedding and
// two logits depend on them. With trained it also gets trained layers before
// it, so that gradients pass through it.
func (r row) network(t *testing.T, trained bool) *models.Network {
	t.Helper()
	b := models.NewBuilder(r.name, rowInput, 2)
	x := b.Input()
	if trained {
		// A batch norm takes the effect of a bias back.
		x = b.Conv("before", x, models.Conv{Out: rowInput.C, Kernel: models.Square(1), Bias: r.kind != models.KindBatchNorm})
	}
	if r.vector {
		x = b.Flatten("vector", x)
	}
	y := r.layer(b, x)
	if !r.vector && r.kind != models.KindFlatten && r.kind != models.KindGlobalAvgPool {
		y = b.Flatten("values", y)
	}
	net, err := b.Build(b.Dense("logits", y, models.Dense{Out: 2, Bias: true}), y)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// TestTableIsComplete fails when a layer kind or an attribute has no row.
func TestTableIsComplete(t *testing.T) {
	exercised := map[string]bool{}
	types := map[models.Kind]reflect.Type{}
	for _, r := range rows() {
		l := r.describe(t)
		exercised[string(l.Kind)] = true
		if attrs := attributesOf(l); attrs.IsValid() {
			types[l.Kind] = attrs.Type()
			leaves(string(l.Kind), attrs, func(path string, v reflect.Value) {
				if !isPlain(path, v) {
					exercised[path] = true
				}
			})
		}
	}
	for _, kind := range models.Kinds() {
		if !exercised[string(kind)] {
			t.Errorf("the kind %q has no row", kind)
			continue
		}
		if types[kind] == nil {
			continue
		}
		leaves(string(kind), reflect.New(types[kind]).Elem(), func(path string, _ reflect.Value) {
			if !exercised[path] {
				t.Errorf("the attribute %s has no row that sets it", path)
			}
		})
	}
}

// isPlain reports whether an attribute has the value that changes nothing.
func isPlain(path string, v reflect.Value) bool {
	switch {
	case v.IsZero():
		return true
	case strings.Contains(path, ".Epsilon"):
		return v.Float() == float64(float32(1e-5))
	case strings.Contains(path, ".Momentum"):
		return v.Float() == float64(float32(0.1))
	case strings.Contains(path, ".Pad.") || strings.Contains(path, ".Front") || !v.CanInt():
		return false
	}
	return v.Int() == 1
}

// describe returns the row's layer, defaults filled in.
func (r row) describe(t *testing.T) models.Layer {
	t.Helper()
	l, ok := r.network(t, false).Layer("layer")
	if !ok {
		t.Fatalf("row %q does not name its layer %q", r.name, "layer")
	}
	return *l
}

// attributesOf returns the attribute struct of a layer, if its kind has one.
func attributesOf(l models.Layer) reflect.Value {
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			return f.Elem()
		}
	}
	return reflect.Value{}
}

// leaves visits the numbers and flags of an attribute struct.
func leaves(path string, v reflect.Value, visit func(string, reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(path+"."+v.Type().Field(i).Name, v.Field(i), visit)
		}
	case reflect.Array:
		for i := range v.Len() {
			leaves(fmt.Sprintf("%s[%d]", path, i), v.Index(i), visit)
		}
	default:
		visit(path, v)
	}
}
