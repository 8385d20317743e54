//go:build cgo

package infer

import (
	"context"
	"encoding/binary"
	"image"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/x448/float16"

	"github.com/deepmutual/dml/dataset/datatest"
)

// cifarImages returns the first n exact images and their labels.
func cifarImages(t *testing.T, n int) ([]Image, []int) {
	t.Helper()
	records, err := os.ReadFile(datatest.Shared(t, "cifar10-lossless4k.bin"))
	if err != nil {
		t.Fatal(err)
	}
	const plane = 32 * 32
	var images []Image
	var labels []int
	for i := range n {
		record := records[i*(1+3*plane) : (i+1)*(1+3*plane)]
		img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
		for p := range plane {
			copy(img.Pix[4*p:], []uint8{record[1+p], record[1+plane+p], record[1+2*plane+p], 255})
		}
		images, labels = append(images, FromImage(img)), append(labels, int(record[0]))
	}
	return images, labels
}

// TestPretrainedByPreset classifies real images with networks of another
// origin.
func TestPretrainedByPreset(t *testing.T) {
	needRuntime(t)
	images, labels := cifarImages(t, 200)
	preset, err := PresetByName("torchreid") // the same mean and deviation
	if err != nil {
		t.Fatal(err)
	}
	preset.Output = "logits"
	preset.Classes = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
	for _, depth := range []string{"20", "32", "44", "56"} {
		m, err := Open(Options{Preset: &preset, TopK: 1}, datatest.Shared(t, "pretrained", "resnet"+depth+"-cifar10.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		predictions, err := m.Predict(context.Background(), images...)
		if err != nil {
			t.Fatal(err)
		}
		right := 0
		for i, p := range predictions {
			if p.Top[0].Class == labels[i] && p.Top[0].Label == preset.Classes[labels[i]] {
				right++
			}
		}
		t.Logf("resnet%s: %d of %d right", depth, right, len(images))
		if right != len(images) { // the data's README: 1.0000 on the first 200
			t.Errorf("resnet%s: %d of %d right", depth, right, len(images))
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	preset.Classes = preset.Classes[1:]
	if _, err := Open(Options{Preset: &preset}, datatest.Shared(t, "pretrained", "resnet20-cifar10.onnx")); err == nil || !strings.Contains(err.Error(), "9 classes") {
		t.Errorf("nine classes: %v", err)
	}
}

// TestMobileNetByPreset compares with Pillow 13.0.0's images and Python's ONNX
// Runtime 1.32:
//
//	x = np.asarray(im.resize((224, 224), Image.BILINEAR), np.float32) / 127.5 - 1
func TestMobileNetByPreset(t *testing.T) {
	needRuntime(t)
	images, _ := cifarImages(t, 12)
	preset, err := PresetByName("imagenet-tf")
	if err != nil {
		t.Fatal(err)
	}
	for width, want := range map[string]map[int]Score{
		"0.25": {0: {684, "684", 0.047156595}, 7: {339, "339", 0.8474337}, 11: {743, "743", 0.16322425}},
		"0.75": {0: {382, "382", 0.2003874}, 7: {339, "339", 0.68207097}, 11: {275, "275", 0.40837842}},
	} {
		m, err := Open(Options{Preset: &preset}, datatest.Shared(t, "pretrained", "mobilenet_v1_"+width+"_imagenet.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		for i, score := range want {
			got, err := m.Predict(context.Background(), images[i])
			if err != nil {
				t.Fatal(err)
			}
			top := got[0].Top[0]
			t.Logf("mobilenet %s, image %d: %+v", width, i, top)
			if top.Class != score.Class || top.Label != score.Label || math.Abs(float64(top.Probability-score.Probability)) > 1e-4 {
				t.Errorf("mobilenet %s, image %d: %+v, want %+v", width, i, top, score)
			}
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	// A backbone without a classifier: its map of features is an embedding.
	preset.Output = "embedding"
	m, err := Open(Options{Preset: &preset}, datatest.Shared(t, "pretrained", "mobilenet_v1_1.0_imagenet_partial.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if v, err := m.Embed(context.Background(), images[0]); err != nil || len(v[0]) != 1024*7*7 || math.Abs(length(v[0])-1) > 1e-4 {
		t.Errorf("backbone: %d vectors, %v", len(v), err)
	}
}

// TestOSNetByPreset compares with Pillow's images and Python's ONNX Runtime.
func TestOSNetByPreset(t *testing.T) {
	needRuntime(t)
	images, _ := cifarImages(t, 8)
	for _, want := range []struct {
		preset    string
		image     int
		moment    float64 // sum of i/512 times feature i
		most      int     // the largest feature
		mostValue float64
	}{
		{"torchreid", 0, 4.854651751985546, 306, 0.27942845668046695},
		{"torchreid", 7, 4.933287337100344, 423, 0.27350846292832376},
		{"fastreid", 0, 3.3904828531089835, 284, 0.4661040855280331},
		{"fastreid", 7, 3.356398235122189, 284, 0.5153015016248101},
	} {
		preset, err := PresetByName(want.preset)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(Options{Preset: &preset}, datatest.Shared(t, "osnet_x0_25_msmt17.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.Embed(context.Background(), images[want.image])
		if err != nil || len(v[0]) != 512 {
			t.Fatalf("%d vectors, %v", len(v), err)
		}
		var moment float64
		for i, x := range v[0] {
			moment += float64(i) / 512 * float64(x)
		}
		t.Logf("OSNet, %s, image %d: moment %.5f, feature %d is %.5f", want.preset, want.image, moment, want.most, v[0][want.most])
		if math.Abs(moment-want.moment) > 1e-3 || math.Abs(float64(v[0][want.most])-want.mostValue) > 1e-4 {
			t.Errorf("%+v: moment %v, feature %v", want, moment, v[0][want.most])
		}
		if m.Info().Features != 512 {
			t.Errorf("%+v", m.Info())
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOSNetOnMarket embeds re-identification images, which others embedded,
// too, with another decoder and another implementation of scaling.
func TestOSNetOnMarket(t *testing.T) {
	needRuntime(t)
	archive := datatest.SharedTar(t, "market1501-mini.tar")
	table, err := os.ReadFile(datatest.Shared(t, "reid-eval", "market_val100", "query.csv"))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(datatest.Shared(t, "reid-eval", "market_val100", "query_f16le.bin"))
	if err != nil {
		t.Fatal(err)
	}
	preset, err := PresetByName("torchreid")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(Options{Preset: &preset}, datatest.Shared(t, "osnet_x0_25_msmt17.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const n = 64
	var images []Image
	for _, line := range strings.Split(string(table), "\n")[1 : n+1] {
		name, _, _ := strings.Cut(line, ",")
		file, found := archive["market1501-mini/query/"+name]
		if !found {
			t.Fatalf("no image %q", name)
		}
		images = append(images, FromBytes(file.Data))
	}
	vectors, err := m.Embed(context.Background(), images...)
	if err != nil {
		t.Fatal(err)
	}
	least := 1.0
	for i, v := range vectors {
		var dot float64
		for k, x := range v {
			dot += float64(x) * float64(float16.Frombits(binary.LittleEndian.Uint16(stored[2*(512*i+k):])).Float32())
		}
		least = min(least, dot)
	}
	t.Logf("least cosine of %d images: %.4f", n, least)
	if least < 0.99 { // the data's README: 0.997 to 0.9997 on 16 images
		t.Errorf("least cosine %v", least)
	}
}
