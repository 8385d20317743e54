package models

import "fmt"

// smallInput is the side below which the stems of the networks made for
// ImageNet reduce the resolution less: 32x32 images would end as single pixels
// otherwise.
const smallInput = 64

// isSmall reports whether an input gets the stem for small images.
func isSmall(input Shape) bool { return min(input.H, input.W) < smallInput }

// mobileNet builds MobileNet v1 (Howard et al., arXiv 1704.04861, table 1), its
// channels multiplied by quarters/4: a 3x3 stem and 13 pairs of a depthwise 3x3
// and a pointwise 1x1 convolution, each with batch norm and rectifier. The stem
// has stride 2, or 1 for inputs with a side under 64, as is usual for CIFAR.
//
// Otherwise PyTorch's conventions hold: padding 1 on all sides, batch-norm
// epsilon 1e-5, ReLU. With tensorFlow it computes what TensorFlow's published
// MobileNets do: SAME padding, epsilon 1e-3, ReLU6. Parameters are the same.
func mobileNet(name string, quarters int, tensorFlow bool, input Shape, classes int) (*Network, error) {
	b := NewBuilder(name, input, classes)
	conv3x3 := Conv{Kernel: Square(3), Pad: PadAll(1)}
	var norm BatchNorm
	var rectifier Activation
	if tensorFlow {
		conv3x3 = Conv{Kernel: Square(3), Padding: SameUpper}
		norm.Epsilon, rectifier.Max = 1e-3, 6
	}
	conv := func(attrs Conv, out, stride, groups int) Conv {
		attrs.Out, attrs.Stride, attrs.Groups = out, Square(stride), groups
		return attrs
	}
	stem := 2
	if isSmall(input) {
		stem = 1
	}
	channels := 32 * quarters / 4
	x := b.Conv("conv1", b.Input(), conv(conv3x3, channels, stem, 1))
	x = b.BatchNorm("bn1", x, norm)
	x = b.Activation("relu1", x, rectifier)
	for i, block := range []struct{ out, stride int }{
		{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2},
		{512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
	} {
		p := fmt.Sprintf("block%d.", i+1)
		x = b.Conv(p+"depthwise", x, conv(conv3x3, channels, block.stride, channels))
		x = b.BatchNorm(p+"bn1", x, norm)
		x = b.Activation(p+"relu1", x, rectifier)
		channels = block.out * quarters / 4
		x = b.Conv(p+"pointwise", x, Conv{Out: channels, Kernel: Square(1)})
		x = b.BatchNorm(p+"bn2", x, norm)
		x = b.Activation(p+"relu2", x, rectifier)
	}
	embedding := b.GlobalAvgPool("avgpool", x)
	logits := b.Dense("linear", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
