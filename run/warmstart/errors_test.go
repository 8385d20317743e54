package warmstart

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/internal/onnx/onnxweights"
	"github.com/deepmutual/dml/models"
)

// exported writes a network as an ONNX file, batch norm folded.
func exported(t testing.TB, net *models.Network, w models.Weights) string {
	t.Helper()
	data, err := export.Marshal(net, w, export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return saved(t, "exported.onnx", data)
}

func saved(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tensorsFile writes a safetensors file with that header.
func tensorsFile(header string, values []byte) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), values...)
}

func TestOpenRefuses(t *testing.T) {
	short, err := os.ReadFile(filepath.Join("..", "..", "testdata", "warmstart", "resnet.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join("..", "..", "testdata", "warmstart", "folded.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	huge := binary.LittleEndian.AppendUint64(nil, 1<<60)
	for name, test := range map[string]struct {
		data []byte
		want error
		text string
	}{
		"empty":             {nil, ErrFormat, "empty"},
		"text":              {[]byte("no weights at all"), onnxweights.ErrNotONNX, "neither a checkpoint nor a safetensors file"},
		"cut.onnx":          {model[:len(model)/2], ErrFormat, "ONNX"},
		"cut.safetensors":   {short[:len(short)-4], ErrFormat, "safetensors"},
		"cut.ckpt":          {[]byte("DMLCKPT\n\x01\x00\x00\x00\x00\x00\x00\x00"), checkpoint.ErrDamaged, "cut short"},
		"huge header":       {append(huge, '{'), ErrFormat, ""},
		"other.pth":         {[]byte("PK\x03\x04...."), ErrFormat, "safetensors"},
		"other.pkl":         {[]byte("\x80\x04\x95}."), ErrFormat, "a pickle"},
		"other.h5":          {[]byte("\x89HDF\r\n"), ErrFormat, "convert the model to ONNX"},
		"huge.safetensors":  {tensorsFile(`{"a.weight":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}`, nil), ErrFormat, "safetensors"},
		"wrong.safetensors": {tensorsFile(`{"a.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, make([]byte, 4)), ErrFormat, "safetensors"},
	} {
		path := saved(t, strings.ReplaceAll(name, " ", ""), test.data)
		if _, err := Open(path); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.onnx")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(os.DevNull); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a device: %v", err)
	}
}

// TestHugeSizesAllocateNothing: sizes that a file only claims are refused before
// memory is taken for them.
func TestHugeSizesAllocateNothing(t *testing.T) {
	claims := func(shape ...int64) []byte {
		data, err := proto.Marshal(&onnxpb.ModelProto{Graph: &onnxpb.GraphProto{
			Initializer: []*onnxpb.TensorProto{{Name: proto.String("w"), DataType: proto.Int32(1), Dims: shape, RawData: make([]byte, 4)}},
			Node:        []*onnxpb.NodeProto{{OpType: proto.String("Conv"), Input: []string{"x", "w"}, Output: []string{"y"}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"ONNX":          claims(1<<14, 1<<14, 1, 1),
		"ONNX overflow": claims(1<<32, 1<<32, 1, 1),
		"safetensors":   tensorsFile(`{"a.weight":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}`, nil),
		"header":        append(binary.LittleEndian.AppendUint64(nil, 15<<20), '{'),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parse(data)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrFormat) || took > 1<<20 {
			t.Errorf("%s: %d bytes allocated, %v", name, took, err)
		}
	}
}

// TestAmbiguousNames: of tensors with one name, later ones are left out.
func TestAmbiguousNames(t *testing.T) {
	src, err := parse(tensorsFile(`{"conv1.weight":{"dtype":"F32","shape":[1,1,1,1],"data_offsets":[0,4]},`+
		`"module.conv1.weight":{"dtype":"F32","shape":[1,1,1,1],"data_offsets":[4,8]},"step":{"dtype":"I64","shape":[],"data_offsets":[8,16]},`+
		`"conv1.bias":{"dtype":"I32","shape":[1],"data_offsets":[16,20]},"norm.weight":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}`, make([]byte, 24)))
	if err != nil {
		t.Fatal(err)
	}
	if len(src.layers) != 1 || src.layers[0].tensors[models.RoleWeight].name != "conv1.weight" || src.layers[0].tensors[models.RoleBias] != nil {
		t.Errorf("layers %+v", src.layers)
	}
	reasons := make(map[string]string)
	for _, o := range src.others {
		reasons[o.Name] = o.Reason
	}
	for name, want := range map[string]string{"module.conv1.weight": "another tensor", "step": "no layer's", "conv1.bias": "no real numbers", "norm.weight": "of no convolution"} {
		if !strings.Contains(reasons[name], want) {
			t.Errorf("%s: %q", name, reasons[name])
		}
	}

	layers := []layer{{name: "a", kind: models.KindConv}, {name: "a", kind: models.KindBatchNorm}, {name: "a", kind: models.KindConv}}
	unique(layers)
	if layers[0].name != "a" || layers[1].name != "a" || layers[2].name != "" {
		t.Errorf("%+v", layers)
	}
}

func TestMatchRefuses(t *testing.T) {
	net := residual(t, 5)
	whole := open(t, filepath.Join("..", "..", "testdata", "warmstart", "resnet.safetensors"))

	wide, err := models.Build("convnet", models.Shape{C: 3, H: 8, W: 8}, 5)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = whole.Match(wide, seeded(t, wide), Options{})
	if !errors.Is(err, ErrShape) || !strings.Contains(err.Error(), `"conv1.weight" is [4 3 3 3] in the file, "conv1.weight" is [16 3 3 3] in the network`) {
		t.Errorf("another shape: %v", err)
	}

	other := &Source{Path: "other.safetensors", layers: []layer{{name: "encoder.0", kind: models.KindConv, follows: -1}}}
	if _, _, err := other.Match(net, seeded(t, net), Options{}); !errors.Is(err, ErrNothingMatched) ||
		!strings.Contains(err.Error(), "other.safetensors") || !strings.Contains(err.Error(), "encoder.0") || !strings.Contains(err.Error(), "conv1, bn1") {
		t.Errorf("other names: %v", err)
	}

	for role, bad := range map[models.Role]float32{models.RoleWeight: float32(math.NaN()), models.RoleRunningVar: -1} {
		src := open(t, filepath.Join("..", "..", "testdata", "warmstart", "resnet.safetensors"))
		for _, l := range src.layers {
			if tensor := l.tensors[role]; tensor != nil {
				tensor.data[len(tensor.data)-1] = bad
				break
			}
		}
		if _, _, err := src.Match(net, seeded(t, net), Options{}); !errors.Is(err, ErrValues) {
			t.Errorf("%v: %v", bad, err)
		}
	}

	src := open(t, filepath.Join("..", "..", "testdata", "warmstart", "folded.onnx"))
	src.layers[0].tensors[models.RoleBias].data[0] = float32(math.Inf(1)) // becomes beta
	if _, _, err := src.Match(net, seeded(t, net), Options{}); !errors.Is(err, ErrValues) {
		t.Errorf("an infinite bias: %v", err)
	}

	if _, _, err := whole.Match(net, models.Weights{}, Options{}); err == nil {
		t.Error("no seeded weights were taken")
	}
}

// FuzzParse looks for files that make reading or matching panic, or that give
// weights which the network cannot have.
//
// The network and the seeds are tiny: the fuzzer takes its time by their size.
func FuzzParse(f *testing.F) {
	b := models.NewBuilder("tiny", models.Shape{C: 1, H: 2, W: 2}, 2)
	x := b.BatchNorm("bn1", b.Conv("conv1", b.Input(), models.Conv{Out: 1, Kernel: models.Square(1)}), models.BatchNorm{})
	pooled := b.GlobalAvgPool("pool", x)
	net, err := b.Build(b.Dense("fc", pooled, models.Dense{Out: 2}), pooled)
	if err != nil {
		f.Fatal(err)
	}
	initial := seeded(f, net)
	for _, keep := range []bool{false, true} {
		data, err := export.Marshal(net, initial, export.Options{KeepBatchNorm: keep})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add(tensorsFile(`{"conv1.weight":{"dtype":"BF16","shape":[1,1,1,1],"data_offsets":[0,2]},"bn1.running_var":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}`, make([]byte, 4)))
	f.Add(tensorsFile(`{"conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"conv1.bias":{"dtype":"F64","shape":[],"data_offsets":[4,12]}}`, make([]byte, 12)))
	f.Add(tensorsFile(`{"fc.weight":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},"a.weight":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, make([]byte, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		src, err := parse(data)
		if err != nil {
			return
		}
		src.onnx = nil // ONNX Runtime is not what is looked at
		w, report, err := src.Match(net, initial, Options{Partial: true})
		if err != nil {
			return
		}
		if err := net.CheckWeights(w); err != nil {
			t.Error(err)
		}
		for name, v := range w {
			for _, x := range v {
				if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
					t.Fatalf("%q holds %v", name, x)
				}
			}
		}
		if report.Values > report.Total {
			t.Errorf("%+v", report)
		}
	})
}
