package models

import "fmt"

// osNet builds OSNet (Zhou et al., ICCV 2019, arXiv 1905.00953, table 1), its
// channels multiplied by quarters/4: a 7x7 stem, three stages of two omni-scale
// blocks, and a vector of 512 with batch norm and ReLU as the embedding. A block
// has four streams of one to four light 3x3 convolutions, which look 3, 5, 7 and 9
// pixels far; one gate, a small network that all four share, weighs the channels
// of each before they are added.
//
// Inputs with a side under 64 get a stem of stride 1. Layer names are those of
// torchreid; where it runs the gate again, a stream's letter is added.
func osNet(name string, quarters int, input Shape, classes int) (*Network, error) {
	b := NewBuilder(name, input, classes)
	norm := func(name, in string, attrs Conv) string {
		return b.BatchNorm(name+".bn", b.Conv(name+".conv", in, attrs), BatchNorm{})
	}
	unit := func(name, in string, attrs Conv) string { return b.ReLU(name+".relu", norm(name, in, attrs)) }
	pointwise := func(out int) Conv { return Conv{Out: out, Kernel: Square(1)} }
	light := func(name, in string, width int) string {
		x := b.Conv(name+".conv1", in, pointwise(width))
		x = b.Conv(name+".conv2", x, Conv{Out: width, Kernel: Square(3), Pad: PadAll(1), Groups: width})
		return b.ReLU(name+".relu", b.BatchNorm(name+".bn", x, BatchNorm{}))
	}
	// gated weighs the channels of the stream of that letter.
	gated := func(gate, letter, in string, width int) string {
		dense := func(name, in string, out int) string {
			if letter == "a" {
				return b.Dense(gate+name, in, Dense{Out: out, Bias: true})
			}
			return b.Shared(gate+name+"."+letter, in, gate+name)
		}
		x := b.GlobalAvgPool(gate+"global_avgpool."+letter, in)
		x = b.ReLU(gate+"relu."+letter, dense("fc1", x, width/16))
		x = b.Sigmoid(gate+"sigmoid."+letter, dense("fc2", x, width), Sigmoid{})
		return b.Multiply(gate+"multiply."+letter, in, x)
	}
	block := func(p, in string, channels, out int) string {
		width := out / 4
		x := unit(p+"conv1", in, pointwise(width))
		sum := ""
		for i, letter := range []string{"a", "b", "c", "d"} {
			stream := x
			for j := range i + 1 {
				name := p + "conv2" + letter
				if i > 0 {
					name = fmt.Sprintf("%s.%d", name, j)
				}
				stream = light(name, stream, width)
			}
			stream = gated(p+"gate.", letter, stream, width)
			if sum == "" {
				sum = stream
			} else {
				sum = b.Add(p+"add."+letter, sum, stream)
			}
		}
		y, identity := norm(p+"conv3", sum, pointwise(out)), in
		if channels != out {
			identity = norm(p+"downsample", in, pointwise(out))
		}
		return b.ReLU(p+"relu", b.Add(p+"add", y, identity))
	}

	stride := 2
	if isSmall(input) {
		stride = 1
	}
	channels := 64 * quarters / 4
	x := unit("conv1", b.Input(), Conv{Out: channels, Kernel: Square(7), Stride: Square(stride), Pad: PadAll(3)})
	x = b.MaxPool("maxpool", x, Pool{Kernel: Square(3), Stride: Square(2), Pad: PadAll(1)})
	height, width := (input.H-1)/stride/2+1, (input.W-1)/stride/2+1
	for stage, wide := range []int{256, 384, 512} {
		p, out := fmt.Sprintf("conv%d.", stage+2), wide*quarters/4
		x = block(p+"0.", x, channels, out)
		x = block(p+"1.", x, out, out)
		if stage < 2 {
			halve := Pool{Kernel: Square(2), Stride: Square(2)}
			if min(height, width) < 2 {
				halve.Padding = SameUpper // of too small an input one pixel is left
			}
			x = unit(p+"2.0", x, pointwise(out))
			x = b.AvgPool(p+"2.1", x, halve)
			height, width = max(1, height/2), max(1, width/2)
		}
		channels = out
	}
	x = unit("conv5", x, pointwise(channels))
	x = b.Dense("fc.0", b.GlobalAvgPool("global_avgpool", x), Dense{Out: 512, Bias: true})
	embedding := b.ReLU("fc.2", b.BatchNorm("fc.1", x, BatchNorm{}))
	logits := b.Dense("classifier", embedding, Dense{Out: classes, Bias: true})
	return b.Build(logits, embedding)
}
