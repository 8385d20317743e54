package models

// Builder puts a network together layer by layer. Each method takes the name
// of the new layer and of its input and returns the new name, so that calls
// chain; faults are collected and reported by Build.
type Builder struct {
	net Network
}

// NewBuilder starts a network for that input.
func NewBuilder(name string, input Shape, classes int) *Builder {
	return &Builder{net: Network{Name: name, Input: input, Classes: classes}}
}

// Input returns the name of the network's input.
func (b *Builder) Input() string { return InputName }

func (b *Builder) add(l Layer) string {
	b.net.Layers = append(b.net.Layers, l)
	return l.Name
}

// Conv appends a convolution.
func (b *Builder) Conv(name, in string, attrs Conv) string {
	return b.add(Layer{Name: name, Kind: KindConv, Inputs: []string{in}, Conv: &attrs})
}

// BatchNorm appends a batch normalisation.
func (b *Builder) BatchNorm(name, in string, attrs BatchNorm) string {
	return b.add(Layer{Name: name, Kind: KindBatchNorm, Inputs: []string{in}, BatchNorm: &attrs})
}

// ReLU appends max(0, x).
func (b *Builder) ReLU(name, in string) string { return b.Activation(name, in, Activation{}) }

// Activation appends a rectifier with the given bound.
func (b *Builder) Activation(name, in string, attrs Activation) string {
	return b.add(Layer{Name: name, Kind: KindActivation, Inputs: []string{in}, Activation: &attrs})
}

// Sigmoid appends a sigmoid.
func (b *Builder) Sigmoid(name, in string, attrs Sigmoid) string {
	return b.add(Layer{Name: name, Kind: KindSigmoid, Inputs: []string{in}, Sigmoid: &attrs})
}

// Add appends the sum of two layers.
func (b *Builder) Add(name, left, right string) string {
	return b.add(Layer{Name: name, Kind: KindAdd, Inputs: []string{left, right}})
}

// Multiply appends the product of a layer and another of its shape, or a gate.
func (b *Builder) Multiply(name, in, gate string) string {
	return b.add(Layer{Name: name, Kind: KindMultiply, Inputs: []string{in, gate}})
}

// Concat appends the channels of two or more layers one after the other.
func (b *Builder) Concat(name string, in ...string) string {
	return b.add(Layer{Name: name, Kind: KindConcat, Inputs: in})
}

// MaxPool appends a max pooling.
func (b *Builder) MaxPool(name, in string, attrs Pool) string {
	return b.add(Layer{Name: name, Kind: KindMaxPool, Inputs: []string{in}, Pool: &attrs})
}

// AvgPool appends an average pooling.
func (b *Builder) AvgPool(name, in string, attrs Pool) string {
	return b.add(Layer{Name: name, Kind: KindAvgPool, Inputs: []string{in}, Pool: &attrs})
}

// GlobalAvgPool appends the mean of each channel.
func (b *Builder) GlobalAvgPool(name, in string) string {
	return b.add(Layer{Name: name, Kind: KindGlobalAvgPool, Inputs: []string{in}})
}

// Flatten appends the feature map as one vector, channels first.
func (b *Builder) Flatten(name, in string) string {
	return b.add(Layer{Name: name, Kind: KindFlatten, Inputs: []string{in}})
}

// Dense appends a fully connected layer.
func (b *Builder) Dense(name, in string, attrs Dense) string {
	return b.add(Layer{Name: name, Kind: KindDense, Inputs: []string{in}, Dense: &attrs})
}

// Shared appends a convolution or dense layer that uses the parameters of an
// earlier one.
func (b *Builder) Shared(name, in, owner string) string {
	l := Layer{Name: name, Inputs: []string{in}, WeightsOf: owner}
	if o, ok := b.net.Layer(owner); ok { // Build reports the other case
		l.Kind, l.Conv, l.Dense = o.Kind, o.Conv, o.Dense
	}
	return b.add(l)
}

// Subsample appends an option A shortcut.
func (b *Builder) Subsample(name, in string, attrs Subsample) string {
	return b.add(Layer{Name: name, Kind: KindSubsample, Inputs: []string{in}, Subsample: &attrs})
}

// Dropout appends a dropout.
func (b *Builder) Dropout(name, in string, attrs Dropout) string {
	return b.add(Layer{Name: name, Kind: KindDropout, Inputs: []string{in}, Dropout: &attrs})
}

// Build validates the network whose class scores and feature vector are the
// layers named.
func (b *Builder) Build(logits, embedding string) (*Network, error) {
	n := b.net
	n.Logits, n.Embedding = logits, embedding
	n.setDefaults()
	if err := n.Validate(); err != nil {
		return nil, err
	}
	return &n, nil
}
