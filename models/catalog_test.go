package models

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParameterCounts(t *testing.T) {
	imageNet, reID := Shape{3, 224, 224}, Shape{3, 256, 128}
	for _, tc := range []struct {
		name    string
		input   Shape // zero: 3x32x32
		classes int
		want    int
		macs    int64
	}{
		// He et al. (2016) and the Deep Mutual Learning paper print 0.46M and 0.5M.
		{"resnet20", Shape{}, 10, 269722, 40551040},
		{"resnet32", Shape{}, 10, 464154, 68862592},
		{"resnet32", Shape{}, 100, 470004, 68868352},
		{"resnet44", Shape{}, 10, 658586, 97174144},
		{"resnet56", Shape{}, 10, 853018, 125485696},
		// Howard et al. (2017) print 4.2M, 2.6M, 1.3M and 0.5M parameters with
		// 1000 classes, 569M, 325M, 149M and 41M multiply-adds; the Deep Mutual
		// Learning paper 3.3M with 100.
		{"mobilenet", imageNet, 1000, 4231976, 568740352},
		{"mobilenet", Shape{}, 100, 3309476, 46446592},
		{"mobilenet-tf", Shape{}, 100, 3309476, 46446592},
		{"mobilenet0.75-tf", imageNet, 1000, 2585560, 325400448},
		{"mobilenet0.5", imageNet, 1000, 1331592, 149497088},
		{"mobilenet0.25", imageNet, 1000, 470072, 41030272},
		// Zagoruyko and Komodakis (2016) print 36.5M and 5.2G, and 0.7M.
		{"wrn-28-10", Shape{}, 100, 36536884, 5243386368},
		{"wrn-28-10", Shape{}, 10, 36479194, 5243328768},
		{"wrn-16-2", Shape{}, 100, 703284, 101118464},
		// Szegedy et al. (2015) print 1.5G; their parameters have biases and no
		// batch norms. The Deep Mutual Learning paper prints 7.8M.
		{"inception", imageNet, 100, 6083332, 1581750272},
		{"inception", Shape{}, 100, 6083332, 0},
		{"inception0.25", imageNet, 100, 403996, 121006208},
		// torchreid with the 751 people of Market-1501's training part. Zhou et al.
		// (2019) print 2.2M parameters without the classifier and 978.9M multiply-adds.
		{"osnet0.25", reID, 751, 587127, 0},
		{"osnet0.5", reID, 751, 1015297, 0},
		{"osnet0.75", reID, 751, 1671017, 0},
		{"osnet", reID, 751, 2554771, 979259904},
		{"mobilenetv2", reID, 751, 3186991, 0},
		{"mobilenetv2-1.4", reID, 751, 5638147, 0},
		{"mobilenetv2", Shape{}, 751, 3186991, 0},
		// torchvision's counts, to which torchreid's first block adds a 1x1 convolution
		// and its batch norm.
		{"mobilenetv2", imageNet, 1000, 3504872 + 32*32 + 2*32, 0},
		{"mobilenetv2-0.5", imageNet, 1000, 1968680 + 16*16 + 2*16, 0},
		{"mobilenetv2-0.35", imageNet, 1000, 1677128 + 16*16 + 2*16, 0},
		// torchvision.
		{"resnet18", imageNet, 1000, 11689512, 1814073344},
		{"resnet34", imageNet, 1000, 21797672, 3663761408},
		{"resnet50", imageNet, 1000, 25557032, 4089184256},
		{"resnet50-ls1", imageNet, 1000, 25557032, 0},
	} {
		n, err := Build(tc.name, cmp.Or(tc.input, Shape{3, 32, 32}), tc.classes)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := n.ParameterCount(); got != tc.want {
			t.Errorf("%s with %d classes: %d parameters, want %d", tc.name, tc.classes, got, tc.want)
		}
		if got, _ := n.MultiplyAdds(); got != tc.macs && tc.macs != 0 {
			t.Errorf("%s with %d classes: %d multiply-adds, want %d", tc.name, tc.classes, got, tc.macs)
		}
	}
}

// TestCatalogShapes checks what the last feature map is that the global
// average pooling sees.
func TestCatalogShapes(t *testing.T) {
	inputs := []Shape{{3, 32, 32}, {3, 160, 64}, {3, 256, 128}, {3, 224, 224}, {1, 28, 28}}
	strided := []Shape{{0, 2, 2}, {0, 5, 2}, {0, 8, 4}, {0, 7, 7}, {0, 2, 2}}
	cifar := []Shape{{0, 8, 8}, {0, 40, 16}, {0, 64, 32}, {0, 56, 56}, {0, 7, 7}}
	sixteenth := []Shape{{0, 4, 4}, {0, 10, 4}, {0, 16, 8}, {0, 14, 14}, {0, 3, 3}}
	lastStride1 := []Shape{{0, 8, 8}, {0, 10, 4}, {0, 16, 8}, {0, 14, 14}, {0, 7, 7}}
	imageNet := []Shape{{0, 4, 4}, {0, 5, 2}, {0, 8, 4}, {0, 7, 7}, {0, 4, 4}}
	type end struct {
		channels int
		maps     []Shape
	}
	want := map[string]end{
		"convnet":   {64, []Shape{{0, 4, 4}, {0, 20, 8}, {0, 32, 16}, {0, 28, 28}, {0, 4, 4}}},
		"resnet8":   {64, cifar},
		"resnet20":  {64, cifar},
		"resnet32":  {64, cifar},
		"resnet44":  {64, cifar},
		"resnet56":  {64, cifar},
		"wrn-16-2":  {128, cifar},
		"wrn-28-10": {640, cifar},

		"mobilenetv2-0.35": {1280, strided},
		"mobilenetv2-0.5":  {1280, strided},
		"mobilenetv2":      {1280, strided},
		"mobilenetv2-1.4":  {1792, strided},
		"resnet18":         {512, imageNet},
		"resnet34":         {512, imageNet},
		"resnet50":         {2048, imageNet},
		"resnet18-ls1":     {512, lastStride1},
		"resnet34-ls1":     {512, lastStride1},
		"resnet50-ls1":     {2048, lastStride1},
	}
	for _, quarters := range widths() {
		want[widthName("inception", quarters)] = end{256 * quarters, imageNet}
		want[widthName("osnet", quarters)] = end{128 * quarters, sixteenth}
		for _, suffix := range []string{"", "-tf"} {
			want[widthName("mobilenet", quarters)+suffix] = end{256 * quarters, strided}
		}
	}
	for _, a := range Catalog() {
		for i, in := range inputs {
			n, err := a.Build(in, 7)
			if err != nil {
				t.Errorf("%s at %v: %v", a.Name, in, err)
				continue
			}
			shapes, err := n.Shapes()
			if err != nil {
				t.Fatal(err)
			}
			expect, ok := want[a.Name]
			if !ok || n.Name != a.Name {
				t.Fatalf("%s, of the name %s, is not expected", a.Name, n.Name)
			}
			last := expect.maps[i]
			last.C = expect.channels
			embedding, pool := n.Embedding, n.Embedding
			features := Vector(last.C)
			if strings.HasPrefix(a.Name, "osnet") {
				pool, features = "global_avgpool", Vector(512)
			}
			l, ok := n.Layer(pool)
			if !ok || l.Kind != KindGlobalAvgPool {
				t.Fatalf("%s has no global average pooling %q", a.Name, pool)
			}
			if got := shapes[l.Inputs[0]]; got != last {
				t.Errorf("%s at %v: the last feature map is %v, want %v", a.Name, in, got, last)
			}
			if shapes[n.Logits] != Vector(7) || shapes[embedding] != features {
				t.Errorf("%s at %v: logits %v, embedding %v", a.Name, in, shapes[n.Logits], shapes[embedding])
			}
		}
	}
}

func TestCatalogBuildsAtOddSizes(t *testing.T) {
	for _, a := range Catalog() {
		for _, in := range []Shape{{1, 1, 1}, {3, 33, 17}, {3, 63, 200}, {3, 65, 67}} {
			if _, err := a.Build(in, 7); err != nil {
				t.Errorf("%s at %v: %v", a.Name, in, err)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	for _, name := range []string{"wrn-10-1", "wrn-16-4", "wrn-40-4", "wrn-22-8"} {
		a, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := a.Build(Shape{3, 32, 32}, 10)
		if err != nil || n.Name != name || a.Name != name {
			t.Fatalf("%s: %v, %v", name, n, err)
		}
		var depth, widen, convolutions int
		fmt.Sscanf(name, "wrn-%d-%d", &depth, &widen)
		for _, l := range n.Layers {
			if l.Kind == KindConv && !strings.HasSuffix(l.Name, "shortcut") {
				convolutions++
			}
		}
		// The name counts the three stages' shortcuts too.
		if convolutions != depth-3 {
			t.Errorf("%s has %d convolutions besides shortcuts, want %d", name, convolutions, depth-3)
		}
		if s, _ := n.Shapes(); s[n.Embedding] != Vector(64*widen) {
			t.Errorf("%s has %v features, want %d", name, s[n.Embedding], 64*widen)
		}
	}
	for name, want := range map[string]string{
		"resnet33":        "choose one of convnet, resnet8, resnet20, resnet32",
		"mobilenet1":      "mobilenet0.25-tf",
		"":                "inception",
		"wrn-28":          "wrn-28-10",
		"wrn-28-010":      "wrn-28-10",
		"wrn-27-10":       "6n+4 (10, 16, 22, 28, ... up to 1000), its width 1 to 64",
		"wrn-4-1":         "6n+4",
		"wrn-28-65":       "6n+4",
		"wrn-100000000-1": "6n+4",
	} {
		_, err := Lookup(name)
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
		if _, buildErr := Build(name, Shape{3, 32, 32}, 10); buildErr == nil || buildErr.Error() != err.Error() {
			t.Errorf("Build says %v, Lookup %v", buildErr, err)
		}
	}
	if _, err := (Architecture{Name: "own"}).Build(Shape{3, 32, 32}, 10); !errors.Is(err, ErrUnknown) {
		t.Errorf("an architecture of nowhere: %v", err)
	}
}
