package models

import "fmt"

// resNet builds the CIFAR ResNet of He et al. (CVPR 2016, section 4.2) of
// depth 6n+2: a 3x3 stem of 16 channels, three stages of n basic blocks with
// 16, 32 and 64 channels, option A shortcuts, global average pooling. Layer
// names are those of the common PyTorch port (layer1.0.conv1, ..., linear).
func resNet(depth int, input Shape, classes int) (*Network, error) {
	b := NewBuilder(fmt.Sprintf("resnet%d", depth), input, classes)
	conv3x3 := func(out, stride int) Conv {
		return Conv{Out: out, Kernel: Square(3), Stride: Square(stride), Pad: PadAll(1)}
	}
	x := b.Conv("conv1", b.Input(), conv3x3(16, 1))
	x = b.BatchNorm("bn1", x, BatchNorm{})
	x = b.ReLU("relu1", x)
	channels := 16
	for stage := range 3 {
		width := 16 << stage
		for block := range (depth - 2) / 6 {
			stride := 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			p := fmt.Sprintf("layer%d.%d.", stage+1, block)
			shortcut := x
			y := b.Conv(p+"conv1", x, conv3x3(width, stride))
			y = b.BatchNorm(p+"bn1", y, BatchNorm{})
			y = b.ReLU(p+"relu1", y)
			y = b.Conv(p+"conv2", y, conv3x3(width, 1))
			y = b.BatchNorm(p+"bn2", y, BatchNorm{})
			if stride != 1 || channels != width {
				shortcut = b.Subsample(p+"shortcut", x, Subsample{Stride: stride, Front: (width - channels) / 2, Out: width})
			}
			y = b.Add(p+"add", y, shortcut)
			x = b.ReLU(p+"relu2", y)
			channels = width
		}
	}
	embedding := b.GlobalAvgPool("avgpool", x)
	logits := b.Dense("linear", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
