package models

import "fmt"

// inceptionModule holds the channels of a module's four branches, as the
// columns of table 1 of Szegedy et al.
type inceptionModule struct {
	name                                               string
	one, reduceThree, three, reduceFive, five, project int
}

// inceptionStages are the modules between one max pooling and the next.
var inceptionStages = [3][]inceptionModule{{
	{"inception3a", 64, 96, 128, 16, 32, 32},
	{"inception3b", 128, 128, 192, 32, 96, 64},
}, {
	{"inception4a", 192, 96, 208, 16, 48, 64},
	{"inception4b", 160, 112, 224, 24, 64, 64},
	{"inception4c", 128, 128, 256, 24, 64, 64},
	{"inception4d", 112, 144, 288, 32, 64, 64},
	{"inception4e", 256, 160, 320, 32, 128, 128},
}, {
	{"inception5a", 256, 160, 320, 32, 128, 128},
	{"inception5b", 384, 192, 384, 48, 128, 128},
}}

// inception builds Inception v1 (GoogLeNet; Szegedy et al., CVPR 2015, arXiv
// 1409.4842, table 1), its channels multiplied by quarters/4, with a batch norm
// of epsilon 1e-3 after each convolution in place of its bias, and without the
// auxiliary classifiers, local response normalisation and dropout. Inputs with
// a side under 64 get a stem of stride 1 and no pooling after it.
//
// With 100 classes it has 6,083,332 parameters. The Deep Mutual Learning paper
// prints 7.8M, without saying what it counted.
//
// Layer names are torchvision's, whose GoogLeNet differs in the 5x5
// convolutions, which are 3x3 there, and in the last pooling, which is 2x2.
func inception(name string, quarters int, input Shape, classes int) (*Network, error) {
	b := NewBuilder(name, input, classes)
	conv := func(name, in string, out int, attrs Conv) string {
		attrs.Out = out * quarters / 4
		x := b.Conv(name+".conv", in, attrs)
		x = b.BatchNorm(name+".bn", x, BatchNorm{Epsilon: 1e-3})
		return b.ReLU(name+".relu", x)
	}
	same := func(side int) Conv { return Conv{Kernel: Square(side), Pad: PadAll(side / 2)} }
	halve := Pool{Kernel: Square(3), Stride: Square(2), Padding: SameUpper}

	stem := same(7)
	x := b.Input()
	if isSmall(input) {
		x = conv("conv1", x, 64, stem)
	} else {
		stem.Stride = Square(2)
		x = b.MaxPool("maxpool1", conv("conv1", x, 64, stem), halve)
	}
	x = conv("conv2", x, 64, same(1))
	x = conv("conv3", x, 192, same(3))
	for i, stage := range inceptionStages {
		x = b.MaxPool(fmt.Sprintf("maxpool%d", i+2), x, halve)
		for _, m := range stage {
			one := conv(m.name+".branch1", x, m.one, same(1))
			three := conv(m.name+".branch2.0", x, m.reduceThree, same(1))
			three = conv(m.name+".branch2.1", three, m.three, same(3))
			five := conv(m.name+".branch3.0", x, m.reduceFive, same(1))
			five = conv(m.name+".branch3.1", five, m.five, same(5))
			pooled := b.MaxPool(m.name+".branch4.0", x, Pool{Kernel: Square(3), Pad: PadAll(1)})
			pooled = conv(m.name+".branch4.1", pooled, m.project, same(1))
			x = b.Concat(m.name, one, three, five, pooled)
		}
	}
	embedding := b.GlobalAvgPool("avgpool", x)
	logits := b.Dense("fc", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
