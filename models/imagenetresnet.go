package models

import "fmt"

// imageNetResNet builds the ResNets of He et al. (CVPR 2016, table 1) for ImageNet:
// of 18 and 34 layers with blocks of two 3x3 convolutions, of 50 with bottlenecks,
// whose stride is the 3x3 convolution's. The last stage has the stride lastStride,
// 2 or, as re-identification prefers for its finer map (Luo et al., CVPR 2019
// workshops), 1. Inputs with a side under 64 get a stem of stride 1 and no pooling
// after it.
//
// Layer names are torchvision's; its blocks use one ReLU again and again, of which
// each use is a layer here.
func imageNetResNet(name string, depth, lastStride int, input Shape, classes int) (*Network, error) {
	b := NewBuilder(name, input, classes)
	blocks, bottleneck := []int{3, 4, 6, 3}, depth >= 50
	if depth == 18 {
		blocks = []int{2, 2, 2, 2}
	}
	norm := func(conv, bn, in string, out, kernel, stride int) string {
		x := b.Conv(conv, in, Conv{Out: out, Kernel: Square(kernel), Stride: Square(stride), Pad: PadAll(kernel / 2)})
		return b.BatchNorm(bn, x, BatchNorm{})
	}
	small := isSmall(input)
	stride := 2
	if small {
		stride = 1
	}
	x := b.ReLU("relu", norm("conv1", "bn1", b.Input(), 64, 7, stride))
	if !small {
		x = b.MaxPool("maxpool", x, Pool{Kernel: Square(3), Stride: Square(2), Pad: PadAll(1)})
	}
	channels := 64
	for stage, n := range blocks {
		for block := range n {
			stride := 1
			if block == 0 && stage > 0 {
				stride = 2
			}
			if block == 0 && stage == 3 {
				stride = lastStride
			}
			p, width := fmt.Sprintf("layer%d.%d.", stage+1, block), 64<<stage
			out, y := width, x
			if bottleneck {
				out = 4 * width
				y = b.ReLU(p+"relu1", norm(p+"conv1", p+"bn1", x, width, 1, 1))
				y = b.ReLU(p+"relu2", norm(p+"conv2", p+"bn2", y, width, 3, stride))
				y = norm(p+"conv3", p+"bn3", y, out, 1, 1)
			} else {
				y = b.ReLU(p+"relu1", norm(p+"conv1", p+"bn1", x, width, 3, stride))
				y = norm(p+"conv2", p+"bn2", y, out, 3, 1)
			}
			if stride != 1 || channels != out {
				x = norm(p+"downsample.0", p+"downsample.1", x, out, 1, stride)
			}
			x = b.ReLU(p+"relu", b.Add(p+"add", y, x))
			channels = out
		}
	}
	embedding := b.GlobalAvgPool("avgpool", x)
	logits := b.Dense("fc", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
