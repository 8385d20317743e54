package models

import "fmt"

// mobileNetV2 builds MobileNet v2 (Sandler et al., CVPR 2018, arXiv 1801.04381,
// table 2), its channels multiplied by percent/100: a 3x3 stem, 17 inverted
// residuals, each an expansion by 6, a depthwise 3x3 and a linear projection, and a
// 1x1 convolution to 1280 channels, more only where the multiplier is above 1.
// The stem has stride 2, or 1 for inputs with a side under 64.
//
// Layer names are torchreid's, which gives the first block an expansion by 1 that
// the paper leaves out. Channels above width 1 are cut to whole numbers as torchreid
// does; below it they are rounded to multiples of 8 as the paper's authors do,
// never by more than a tenth down.
func mobileNetV2(name string, percent int, input Shape, classes int) (*Network, error) {
	b := NewBuilder(name, input, classes)
	scaled := func(channels int) int {
		if percent >= 100 {
			return channels * percent / 100
		}
		rounded := max(8, (channels*percent+400)/800*8)
		if 1000*rounded < 9*channels*percent {
			rounded += 8
		}
		return rounded
	}
	unit := func(name, in string, attrs Conv) string {
		x := b.BatchNorm(name+".bn", b.Conv(name+".conv", in, attrs), BatchNorm{})
		return b.Activation(name+".relu", x, Activation{Max: 6})
	}
	stem := 2
	if isSmall(input) {
		stem = 1
	}
	channels := scaled(32)
	x := unit("conv1", b.Input(), Conv{Out: channels, Kernel: Square(3), Stride: Square(stem), Pad: PadAll(1)})
	for i, stage := range []struct{ expand, out, blocks, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for block := range stage.blocks {
			p, out, stride := fmt.Sprintf("conv%d.%d.", i+2, block), scaled(stage.out), 1
			if block == 0 {
				stride = stage.stride
			}
			expanded := channels * stage.expand
			y := unit(p+"conv1", x, Conv{Out: expanded, Kernel: Square(1)})
			y = unit(p+"dwconv2", y, Conv{Out: expanded, Kernel: Square(3), Stride: Square(stride), Pad: PadAll(1), Groups: expanded})
			y = b.BatchNorm(p+"conv3.1", b.Conv(p+"conv3.0", y, Conv{Out: out, Kernel: Square(1)}), BatchNorm{})
			if stride == 1 && channels == out {
				y = b.Add(p+"add", x, y)
			}
			x, channels = y, out
		}
	}
	x = unit("conv9", x, Conv{Out: max(1280, 1280*percent/100), Kernel: Square(1)})
	embedding := b.GlobalAvgPool("global_avgpool", x)
	logits := b.Dense("classifier", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
