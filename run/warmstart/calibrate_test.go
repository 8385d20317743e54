package warmstart

import (
	"math"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/train"
)

// trainingOutputs returns the embeddings of one mini-batch in training mode.
func trainingOutputs(t *testing.T, net *models.Network, w models.Weights, samples []float32) []float32 {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	backend, err := onednn.Open()
	if err != nil {
		backend = ref.New()
	}
	engine, err := backend.NewEngine(kernel.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	n, err := lower.Compile(net, engine, lower.Options{Batch: len(samples) / net.Input.Size(), Training: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.SetWeights(w); err != nil {
		t.Fatal(err)
	}
	copy(n.Input(), samples)
	if err := n.Forward(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(n.Embedding())
}

// cosines returns the smallest and the mean cosine of n rows.
func cosines(got, want []float32, n int) (least, mean float64) {
	least = 1
	width := len(want) / n
	for r := range n {
		var dot, a, b float64
		for i := r * width; i < (r+1)*width; i++ {
			x, y := float64(got[i]), float64(want[i])
			dot, a, b = dot+x*y, a+x*x, b+y*y
		}
		c := dot / math.Sqrt(a*b)
		least, mean = min(least, c), mean+c/float64(n)
	}
	return least, mean
}

// TestFoldedBatchNormKeepsItsFunction loads a file that has folded its batch norms,
// with and without samples to gather statistics from: in evaluation both compute
// what the file does, in training only the first.
func TestFoldedBatchNormKeepsItsFunction(t *testing.T) {
	b := models.NewBuilder("folded", models.Shape{C: 3, H: 8, W: 8}, 5)
	x := b.ReLU("relu1", b.BatchNorm("bn1", b.Conv("conv1", b.Input(), models.Conv{Out: 8, Kernel: models.Square(3), Pad: models.PadAll(1)}), models.BatchNorm{}))
	x = b.Add("add", x, b.BatchNorm("bn2", b.Conv("conv2", x, models.Conv{Out: 8, Kernel: models.Square(3), Pad: models.PadAll(1)}), models.BatchNorm{}))
	// The norms of what no convolution gives are kept in files.
	x = b.GlobalAvgPool("pool", b.ReLU("relu2", b.BatchNorm("bn3", x, models.BatchNorm{Epsilon: 1e-3})))
	x = b.BatchNorm("bn4", b.Dense("embed", x, models.Dense{Out: 12, Bias: true}), models.BatchNorm{})
	net, err := b.Build(b.Dense("fc", x, models.Dense{Out: 5}), x)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	w := seeded(t, net)
	for name, v := range w { // as a training would leave them, not of these samples
		for i := range v {
			switch {
			case strings.HasPrefix(name, "bn") && strings.HasSuffix(name, "weight"), strings.HasSuffix(name, "var"):
				v[i] = 0.5 + rng.Float32()
			case strings.HasPrefix(name, "bn"):
				v[i] = rng.Float32() - 0.5
			}
		}
	}
	samples := make([]float32, 64*net.Input.Size())
	for i := range samples {
		samples[i] = float32(rng.NormFloat64())*(1+float32(i%3)) + 0.5
	}
	data, err := export.Marshal(net, w, export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	src, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := outputsOf(net, w, samples, 64, train.EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, calibrated := range []bool{false, true} {
		opts := Options{}
		if calibrated {
			opts.Samples = samples
		}
		got, report, err := src.Match(net, seeded(t, net), opts)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Neutral) != 3*2 || len(report.Missing) > 0 || (report.Calibrated == 64) != calibrated || (len(report.Warnings) == 0) != calibrated {
			t.Errorf("%+v", report)
		}
		_, embeddings, err := outputsOf(net, got, samples, 64, train.EvaluateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		near(t, embeddings, want, 1e-5)
		least, mean := cosines(trainingOutputs(t, net, got, samples), want, 64)
		t.Logf("calibrated %v: cosine in training mode at least %.6f, in the mean %.6f", calibrated, least, mean)
		if calibrated && least < 0.99999 || !calibrated && least > 0.99 {
			t.Errorf("calibrated %v: cosine in training mode is at least %g", calibrated, least)
		}
	}
}

// person is an image of re-identification data.
type person struct {
	label reid.Label
	image []float32
}

// people reads some images of a folder of Market-1501, as torchreid prepares them;
// choose takes them of the sorted names.
func people(t *testing.T, folder string, choose func(names []string) []string) []person {
	t.Helper()
	fsys := datatest.SharedTar(t, "market1501-mini.tar")
	normalizer, err := pixels.NewNormalizer(pixels.Norm{Mean: []float32{.485, .456, .406}, Std: []float32{.229, .224, .225}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range fsys {
		if path.Base(path.Dir(name)) == folder && strings.HasSuffix(name, ".jpg") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []person
	for _, name := range choose(names) {
		img, err := pixels.Decode(t.Context(), fsys[name].Data)
		if err != nil {
			t.Fatal(err)
		}
		p := person{image: make([]float32, 3*256*128)}
		if err := normalizer.Apply(p.image, pixels.Fit(img, 3, 128, 256)); err != nil {
			t.Fatal(err)
		}
		id, camera, _ := strings.Cut(path.Base(name), "_c") // 0002_c1s1_000451_03.jpg
		number, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		p.label = reid.Label{PID: reid.Number(number), Camera: reid.Number(int(camera[0] - '0'))}
		out = append(out, p)
	}
	return out
}

func imagesOf(people []person) (images []float32) {
	for _, p := range people {
		images = append(images, p.image...)
	}
	return images
}

// TestOSNet begins with a published OSNet, whose convolutions have their batch norms
// folded in, and does not train it: it must be that network in evaluation, and in
// training nearly so, though its statistics come from another data set.
func TestOSNet(t *testing.T) {
	file := datatest.Shared(t, "osnet_x0_25_msmt17.onnx")
	net, err := models.Build("osnet0.25", models.Shape{C: 3, H: 256, W: 128}, 500)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	drawn := func(n int) []person {
		return people(t, "bounding_box_train", func(names []string) []string {
			rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			return names[:n]
		})
	}
	samples := imagesOf(drawn(256))
	w, report, err := open(t, file).Match(net, seeded(t, net), Options{Samples: samples})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report.Summary())
	if report.Matching != "names" || len(report.Missing) != 2 || report.Missing[0].Name != "classifier.weight" ||
		report.Calibrated != 256 || len(report.Warnings) > 0 || report.Compared == nil && report.NotCompared == "" {
		t.Errorf("%s; missing %v, skipped %v, warnings %q", report.Summary(), report.Missing, report.Skipped, report.Warnings)
	}

	// Of a mini-batch drawn as in training, most of whose images the statistics are
	// not from.
	const n = 64
	other := imagesOf(drawn(n))
	raw := runtimeOutputs(t, file, other, n)
	want := raw.Logits
	if want == nil {
		want = raw.Embedding
	}
	_, got, err := outputsOf(net, w, other, n, train.EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	least, mean := cosines(got, want, n)
	t.Logf("evaluation: cosine at least %.6f, in the mean %.6f", least, mean)
	if least < 0.999 {
		t.Errorf("in evaluation the cosine is %g", least)
	}
	least, mean = cosines(trainingOutputs(t, net, w, other), want, n)
	t.Logf("training: cosine at least %.6f, in the mean %.6f", least, mean)
	if mean < 0.98 {
		t.Errorf("in training the mean cosine is %g", mean)
	}

	if testing.Short() {
		t.Skip("skipped: the embeddings of 1,479 images, in a short test")
	}
	var sets [2]reid.Set
	for i, folder := range []string{"query", "bounding_box_test"} {
		sets[i] = reid.Set{Name: folder, Dim: 512}
		images := people(t, folder, func(names []string) []string { return names })
		for part := range slices.Chunk(images, 256) {
			_, features, err := outputsOf(net, w, imagesOf(part), len(part), train.EvaluateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			sets[i].Features = append(sets[i].Features, features...)
		}
		for _, p := range images {
			sets[i].Labels = append(sets[i].Labels, p.label)
		}
	}
	result, err := reid.Evaluate(t.Context(), sets[0], sets[1], reid.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("mAP %.4f", result.MAP)
	if math.Abs(result.MAP-0.5989) > 0.005 {
		t.Errorf("mAP %.4f, want 0.5989", result.MAP)
	}
}
