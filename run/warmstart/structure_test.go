package warmstart

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// shuffled returns a network whose layers stand in another order in which each
// still follows what it reads, and sums and products the other way round.
func shuffled(net *models.Network, rng *rand.Rand) *models.Network {
	out := *net
	out.Layers = nil
	done := map[string]bool{models.InputName: true}
	left := slices.Clone(net.Layers)
	for len(left) > 0 {
		rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		at := slices.IndexFunc(left, func(l models.Layer) bool {
			return (l.WeightsOf == "" || done[l.WeightsOf]) && !slices.ContainsFunc(l.Inputs, func(in string) bool { return !done[in] })
		})
		l := left[at]
		if l.Kind == models.KindAdd {
			l.Inputs = []string{l.Inputs[1], l.Inputs[0]}
		}
		out.Layers, left = append(out.Layers, l), slices.Delete(left, at, at+1)
		done[l.Name] = true
	}
	return &out
}

// foreign renames an ONNX file's constants and nodes to what other makers call them;
// but for keep, which stays.
func foreign(t *testing.T, data []byte, keep string) *Source {
	t.Helper()
	var m onnxpb.ModelProto
	if err := proto.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]string)
	for i, p := range m.Graph.Initializer {
		if name := p.GetName(); keep == "" || !strings.HasPrefix(name, keep+".") {
			names[name] = fmt.Sprintf("stage%d/block/Const%d", i%7, i)
			p.Name = proto.String(names[name])
		}
	}
	for i, n := range m.Graph.Node {
		n.Name = proto.String(fmt.Sprint("node", i))
		for j, in := range n.Input {
			if to, ok := names[in]; ok {
				n.Input[j] = to
			}
		}
	}
	out, err := proto.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	src, err := parse(out)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// trained returns weights that a training could have left.
func trained(t *testing.T, net *models.Network, seed uint64) models.Weights {
	t.Helper()
	w, err := net.Init(seed)
	if err != nil {
		t.Fatal(err)
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 9))
	for _, p := range params {
		for i := range w[p.Name] {
			switch p.Role {
			case models.RoleGamma, models.RoleRunningVar:
				w[p.Name][i] = 0.5 + rng.Float32()
			case models.RoleBeta, models.RoleRunningMean, models.RoleBias:
				w[p.Name][i] = rng.Float32() - 0.5
			}
		}
	}
	return w
}

// TestBranchesOfOneShape loads networks whose parallel branches have layers of equal
// shapes, in another order and under names that say nothing.
func TestBranchesOfOneShape(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, arch := range []string{"inception0.25", "osnet0.25", "wrn-10-1", "resnet18"} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprint(arch, ", batch norms kept ", keep), func(t *testing.T) {
				net, err := models.Build(arch, models.Shape{C: 3, H: 16, W: 16}, 4)
				if err != nil {
					t.Fatal(err)
				}
				w := trained(t, net, 3)
				for i := range 2 {
					data, err := export.Marshal(shuffled(net, rng), w, export.Options{KeepBatchNorm: keep})
					if err != nil {
						t.Fatal(err)
					}
					src := foreign(t, data, "")
					got, report := match(t, src, net)
					if report.Matching != "structure" || len(report.Missing) > 0 || len(report.Skipped) > 0 {
						t.Fatalf("order %d: %s; missing %v, skipped %v", i, report.Summary(), report.Missing, report.Skipped)
					}
					samples := make([]float32, 2*net.Input.Size())
					for i := range samples {
						samples[i] = float32(rng.NormFloat64())
					}
					want, _, err := outputsOf(net, w, samples, 2, train.EvaluateOptions{})
					if err != nil {
						t.Fatal(err)
					}
					logits, _, err := outputsOf(net, got, samples, 2, train.EvaluateOptions{})
					if err != nil {
						t.Fatal(err)
					}
					if d := distance(logits, want); d > 1e-4 {
						t.Errorf("order %d: logits differ by %.2g", i, d)
					}
				}
			})
		}
	}
}

// TestBrokenOffFile loads a file that ends before the network does.
func TestBrokenOffFile(t *testing.T) {
	net, err := models.Build("inception0.25", models.Shape{C: 3, H: 16, W: 16}, 4)
	if err != nil {
		t.Fatal(err)
	}
	w := trained(t, net, 4)
	front := *net
	at := slices.IndexFunc(net.Layers, func(l models.Layer) bool { return l.Name == "inception5a" })
	front.Layers = append(slices.Clone(net.Layers[:at+1]), models.Layer{Name: "features", Kind: models.KindGlobalAvgPool, Inputs: []string{"inception5a"}})
	front.Logits, front.Embedding, front.Classes = "features", "features", 208
	kept := make(models.Weights)
	params, err := front.Params()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		kept[p.Name] = w[p.Name]
	}
	data, err := export.Marshal(&front, kept, export.Options{KeepBatchNorm: true})
	if err != nil {
		t.Fatal(err)
	}
	got, report := match(t, foreign(t, data, ""), net)
	t.Log(report.Summary())
	for _, p := range params {
		if strings.HasPrefix(p.Name, "inception5a") {
			continue // whose branches nothing tells apart but what follows
		}
		if !slices.Equal(got[p.Name], w[p.Name]) {
			t.Errorf("%s is not the file's", p.Name)
		}
	}
	initial := seeded(t, net)
	for name, v := range got {
		if !slices.Equal(v, w[name]) && !slices.Equal(v, initial[name]) {
			t.Errorf("%s has values of another layer", name)
		}
	}
}

// TestFewValues refuses a file of which one layer fits by chance.
func TestFewValues(t *testing.T) {
	b := models.NewBuilder("other", models.Shape{C: 3, H: 16, W: 16}, 4)
	x := b.Conv("conv1", b.Input(), models.Conv{Out: 16, Kernel: models.Square(3), Pad: models.PadAll(1)})
	x = b.GlobalAvgPool("pool", b.ReLU("relu", b.Conv("encoder", x, models.Conv{Out: 40, Kernel: models.Square(5)})))
	other, err := b.Build(b.Dense("scores", x, models.Dense{Out: 4}), x)
	if err != nil {
		t.Fatal(err)
	}
	data, err := export.Marshal(other, trained(t, other, 1), export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	src, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	net, err := models.Build("resnet20", models.Shape{C: 3, H: 16, W: 16}, 4)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = src.Match(net, seeded(t, net), Options{})
	if !errors.Is(err, ErrPartial) || !strings.Contains(err.Error(), "of 270448 values besides the classifier's") {
		t.Errorf("a few values: %v", err)
	}
	w, report, err := src.Match(net, seeded(t, net), Options{Partial: true})
	if err != nil || len(report.Loaded) != 1 || slices.Equal(w["conv1.weight"], seeded(t, net)["conv1.weight"]) {
		t.Errorf("taken all the same: %+v, %v", report, err)
	}
}

// TestBetterWay takes structure where one name fits by chance.
func TestBetterWay(t *testing.T) {
	net := residual(t, 5)
	w := trained(t, net, 8)
	data, err := export.Marshal(net, w, export.Options{KeepBatchNorm: true})
	if err != nil {
		t.Fatal(err)
	}
	got, report := match(t, foreign(t, data, "conv1"), net)
	if report.Matching != "structure" || report.Values != report.Total || !slices.Equal(got["layer2.0.conv2.weight"], w["layer2.0.conv2.weight"]) {
		t.Error(report.Summary())
	}
}

// TestOutputsAreCompared loads MobileNets into those that round and pad otherwise:
// all weights fit.
func TestOutputsAreCompared(t *testing.T) {
	shape := models.Shape{C: 3, H: 20, W: 20}
	from, err := models.Build("mobilenet0.25-tf", shape, 4)
	if err != nil {
		t.Fatal(err)
	}
	data, err := export.Marshal(from, trained(t, from, 1), export.Options{KeepBatchNorm: true})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := infer.OpenBytes(infer.Options{}, data); err != nil {
		t.Skipf("skipped: outputs are compared with ONNX Runtime: %v", err)
	} else if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	named, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	_, report := match(t, named, from)
	if report.Compared == nil || report.Compared.Distance > 1e-4 || len(report.Warnings) > 0 || !strings.Contains(report.Summary(), "its logits differ by") {
		t.Errorf("the same network: %s, warnings %q", report.Summary(), report.Warnings)
	}
	// For other classes the file's own classifier is compared.
	wide, err := models.Build("mobilenet0.25-tf", models.Shape{C: 3, H: 40, W: 24}, 7)
	if err != nil {
		t.Fatal(err)
	}
	_, report = match(t, named, wide)
	if report.Compared == nil || report.Compared.Distance > 1e-4 || len(report.Missing) != 2 {
		t.Errorf("other classes and images: %s", report.Summary())
	}

	other, err := models.Build("mobilenet0.25", shape, 4)
	if err != nil {
		t.Fatal(err)
	}
	_, report = match(t, named, other)
	if report.Compared == nil || report.Compared.Distance < 0.02 || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "something else") {
		t.Errorf("another network, by name: %s, warnings %q", report.Summary(), report.Warnings)
	}
	nameless := foreign(t, data, "")
	if _, _, err := nameless.Match(other, seeded(t, other), Options{}); !errors.Is(err, ErrOutputs) {
		t.Errorf("another network, by structure: %v", err)
	}
	if _, report, err = nameless.Match(other, seeded(t, other), Options{Partial: true}); err != nil || len(report.Warnings) != 1 {
		t.Errorf("taken all the same: %v", err)
	}

	// Where there is no library, the report says so.
	_, report, err = named.Match(from, seeded(t, from), Options{Infer: infer.Options{Library: "/none.so"}})
	if err != nil || report.Compared != nil && report.NotCompared != "" || report.Compared == nil && report.NotCompared == "" {
		t.Errorf("%s, %v", report.Summary(), err)
	}
}
