package models

import "fmt"

// smallInput is the side below which a MobileNet's stem keeps the resolution:
// 32x32 images would end as single pixels otherwise.
const smallInput = 64

// mobileNet builds MobileNet v1 (Howard et al., arXiv 1704.04861, table 1) of
// full width: a 3x3 stem and 13 pairs of a depthwise 3x3 and a pointwise 1x1
// convolution, each with batch norm and ReLU. The stem has stride 2, or 1 for
// inputs with a side under 64, as is usual for CIFAR.
func mobileNet(input Shape, classes int) (*Network, error) {
	b := NewBuilder("mobilenet", input, classes)
	stem := 2
	if min(input.H, input.W) < smallInput {
		stem = 1
	}
	x := b.Conv("conv1", b.Input(), Conv{Out: 32, Kernel: Square(3), Stride: Square(stem), Pad: PadAll(1)})
	x = b.BatchNorm("bn1", x, BatchNorm{})
	x = b.ReLU("relu1", x)
	channels := 32
	for i, block := range []struct{ out, stride int }{
		{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2},
		{512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
	} {
		p := fmt.Sprintf("block%d.", i+1)
		x = b.Conv(p+"depthwise", x, Conv{Out: channels, Kernel: Square(3), Stride: Square(block.stride), Pad: PadAll(1), Groups: channels})
		x = b.BatchNorm(p+"bn1", x, BatchNorm{})
		x = b.ReLU(p+"relu1", x)
		x = b.Conv(p+"pointwise", x, Conv{Out: block.out, Kernel: Square(1)})
		x = b.BatchNorm(p+"bn2", x, BatchNorm{})
		x = b.ReLU(p+"relu2", x)
		channels = block.out
	}
	embedding := b.GlobalAvgPool("avgpool", x)
	logits := b.Dense("linear", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
