package models

import "fmt"

// convNet builds a small plain network for small images: three 3x3 stride-2
// convolutions of 16, 32 and 64 channels, each with batch norm and ReLU, and
// global average pooling.
func convNet(input Shape, classes int) (*Network, error) {
	b := NewBuilder("convnet", input, classes)
	x := b.Input()
	for i, out := range []int{16, 32, 64} {
		x = b.Conv(fmt.Sprintf("conv%d", i+1), x, Conv{Out: out, Kernel: Square(3), Stride: Square(2), Pad: PadAll(1)})
		x = b.BatchNorm(fmt.Sprintf("bn%d", i+1), x, BatchNorm{})
		x = b.ReLU(fmt.Sprintf("relu%d", i+1), x)
	}
	embedding := b.GlobalAvgPool("avgpool", x)
	logits := b.Dense("linear", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
