package models

import (
	"fmt"
	"regexp"
	"strconv"
)

// wideResNet builds WRN-depth-widen, the pre-activation wide residual network
// for CIFAR (Zagoruyko and Komodakis, BMVC 2016, arXiv 1605.07146): a 3x3 stem
// of 16 channels, three stages of n = (depth-4)/6 blocks of two 3x3 convolutions
// with 16, 32 and 64 times widen channels, batch norm and ReLU before each
// convolution, 1x1 convolutions as shortcuts where the channels change, and no
// dropout. Larger inputs keep these strides, so they cost more.
func wideResNet(depth, widen int, input Shape, classes int) (*Network, error) {
	b := NewBuilder(fmt.Sprintf("wrn-%d-%d", depth, widen), input, classes)
	conv3x3 := func(out, stride int) Conv {
		return Conv{Out: out, Kernel: Square(3), Stride: Square(stride), Pad: PadAll(1)}
	}
	x := b.Conv("conv1", b.Input(), conv3x3(16, 1))
	channels := 16
	for stage := range 3 {
		width := 16 * widen << stage
		for block := range (depth - 4) / 6 {
			stride := 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			p := fmt.Sprintf("layer%d.%d.", stage+1, block)
			y := b.ReLU(p+"relu1", b.BatchNorm(p+"bn1", x, BatchNorm{}))
			shortcut := x
			if stride != 1 || channels != width {
				shortcut = b.Conv(p+"shortcut", y, Conv{Out: width, Kernel: Square(1), Stride: Square(stride)})
			}
			y = b.Conv(p+"conv1", y, conv3x3(width, stride))
			y = b.ReLU(p+"relu2", b.BatchNorm(p+"bn2", y, BatchNorm{}))
			y = b.Conv(p+"conv2", y, conv3x3(width, 1))
			x = b.Add(p+"add", y, shortcut)
			channels = width
		}
	}
	x = b.ReLU("relu1", b.BatchNorm("bn1", x, BatchNorm{}))
	embedding := b.GlobalAvgPool("avgpool", x)
	logits := b.Dense("linear", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}

// The largest wide ResNet that has a name: far past any that was published.
const (
	maxWRNDepth = 1000
	maxWRNWiden = 64
)

var wrnName = regexp.MustCompile(`^wrn-([1-9]\d{0,8})-([1-9]\d{0,8})$`)

// lookupWideResNet finds the wide ResNet of a name; is reports whether the name
// is meant to be one.
func lookupWideResNet(name string) (a Architecture, is bool, err error) {
	match := wrnName.FindStringSubmatch(name)
	if match == nil {
		return Architecture{}, false, nil
	}
	depth, _ := strconv.Atoi(match[1]) // nine digits at most
	widen, _ := strconv.Atoi(match[2])
	if depth < 10 || depth > maxWRNDepth || (depth-4)%6 != 0 || widen > maxWRNWiden {
		return Architecture{}, true, fmt.Errorf("%w %q: the depth of wrn-DEPTH-WIDTH is 6n+4 (10, 16, 22, 28, ... up to %d), its width 1 to %d",
			ErrUnknown, name, maxWRNDepth, maxWRNWiden)
	}
	return wideResNetOf(depth, widen), true, nil
}

func wideResNetOf(depth, widen int) Architecture {
	return Architecture{
		Name:    fmt.Sprintf("wrn-%d-%d", depth, widen),
		Summary: "wide ResNet (Zagoruyko and Komodakis, 2016); any wrn-DEPTH-WIDTH of depth 6n+4",
		Input:   Shape{C: 3, H: 32, W: 32},
		build:   func(in Shape, classes int) (*Network, error) { return wideResNet(depth, widen, in, classes) },
	}
}
