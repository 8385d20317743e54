package models

import (
	"encoding/json"
	"fmt"
	"slices"
)

// InputName is the name by which layers refer to the network's input.
const InputName = "input"

// Shape is the shape of one sample: a feature map [C, H, W], or a vector of C
// values when H and W are 0.
type Shape struct {
	C int `json:"channels" yaml:"channels"`
	H int `json:"height,omitempty" yaml:"height"`
	W int `json:"width,omitempty" yaml:"width"`
}

// Vector returns the shape of a vector of n values.
func Vector(n int) Shape { return Shape{C: n} }

// IsVector reports whether s has no spatial extent.
func (s Shape) IsVector() bool { return s.H == 0 && s.W == 0 }

// Size returns the number of values of one sample.
func (s Shape) Size() int { return s.C * max(1, s.H) * max(1, s.W) }

func (s Shape) String() string {
	if s.IsVector() {
		return fmt.Sprintf("%d", s.C)
	}
	return fmt.Sprintf("%dx%dx%d", s.C, s.H, s.W)
}

// Kind names what a layer computes. The set is closed: lowering and export
// handle every kind, and a table test runs each through both.
type Kind string

// The layer kinds. Every kind takes one input, [KindAdd] and [KindMultiply] take
// two and [KindConcat] two or more.
const (
	KindConv       Kind = "conv"       // 2-D convolution, [Conv]
	KindBatchNorm  Kind = "batch_norm" // batch normalisation, [BatchNorm]
	KindActivation Kind = "activation" // max(0, x), perhaps bounded above, [Activation]
	KindSigmoid    Kind = "sigmoid"    // 1/(1+exp(-x)), or in three straight pieces, [Sigmoid]
	KindAdd        Kind = "add"        // sum of two equal shapes
	// KindMultiply is the product of two equal shapes, or of a feature map [C,H,W]
	// and a gate, one value a channel: a vector [C] or a feature map [C,1,1]. With a
	// sigmoid of its own input it is a swish.
	KindMultiply      Kind = "multiply"
	KindConcat        Kind = "concat"          // channels of equal [H,W] (or vectors) one after the other
	KindMaxPool       Kind = "max_pool"        // [Pool]
	KindAvgPool       Kind = "avg_pool"        // [Pool]
	KindGlobalAvgPool Kind = "global_avg_pool" // feature map [C,H,W] to vector [C]
	KindFlatten       Kind = "flatten"         // feature map [C,H,W] to vector [C*H*W]
	KindDense         Kind = "dense"           // fully connected, [Dense]
	KindSubsample     Kind = "subsample"       // option A shortcut, [Subsample]
	KindDropout       Kind = "dropout"         // values dropped at random, in training alone, [Dropout]
)

// Kinds returns every layer kind.
func Kinds() []Kind {
	return []Kind{KindConv, KindBatchNorm, KindActivation, KindSigmoid, KindAdd, KindMultiply, KindConcat, KindMaxPool,
		KindAvgPool, KindGlobalAvgPool, KindFlatten, KindDense, KindSubsample, KindDropout}
}

// Layer is one node of a network. Exactly the attribute struct of its Kind is
// set; kinds without attributes have none.
type Layer struct {
	Name   string   `json:"name"`
	Kind   Kind     `json:"kind"`
	Inputs []string `json:"inputs"` // names of earlier layers, or InputName
	// WeightsOf names an earlier convolution or dense layer of the same attributes,
	// whose parameters this one uses too; "" for parameters of its own.
	WeightsOf string `json:"weights_of,omitempty"`

	Conv       *Conv       `json:"conv,omitempty"`
	BatchNorm  *BatchNorm  `json:"batch_norm,omitempty"`
	Activation *Activation `json:"activation,omitempty"`
	Sigmoid    *Sigmoid    `json:"sigmoid,omitempty"`
	Pool       *Pool       `json:"pool,omitempty"`
	Dense      *Dense      `json:"dense,omitempty"`
	Subsample  *Subsample  `json:"subsample,omitempty"`
	Dropout    *Dropout    `json:"dropout,omitempty"`
}

// Owner returns the name of the layer whose parameters l uses: its own, or
// WeightsOf.
func (l *Layer) Owner() string {
	if l.WeightsOf != "" {
		return l.WeightsOf
	}
	return l.Name
}

// Pad is spatial padding; it may be asymmetric.
type Pad struct {
	Top    int `json:"top,omitempty"`
	Left   int `json:"left,omitempty"`
	Bottom int `json:"bottom,omitempty"`
	Right  int `json:"right,omitempty"`
}

// PadAll pads all four sides by n.
func PadAll(n int) Pad { return Pad{n, n, n, n} }

// Square returns {n, n}: a square kernel, an equal stride.
func Square(n int) [2]int { return [2]int{n, n} }

// Conv holds the attributes of a convolution. Pairs are {height, width}.
type Conv struct {
	Out      int    `json:"out"`
	Kernel   [2]int `json:"kernel"`
	Stride   [2]int `json:"stride,omitzero"`   // zero means {1, 1}
	Dilation [2]int `json:"dilation,omitzero"` // zero means {1, 1}
	Pad      Pad    `json:"pad,omitzero"`
	// Padding makes the padding follow from the input; Pad is zero then.
	Padding Padding `json:"padding,omitempty"`
	Groups  int     `json:"groups,omitempty"` // zero means 1
	Bias    bool    `json:"bias,omitempty"`
}

// BatchNorm holds the attributes of a batch normalisation, of the channels of
// feature maps or the values of vectors.
type BatchNorm struct {
	Epsilon float32 `json:"epsilon,omitempty"` // zero means 1e-5
	// Momentum is the weight of a new batch in the running statistics, as
	// PyTorch defines it; zero means 0.1.
	Momentum float32 `json:"momentum,omitempty"`
}

// Activation holds the bound of a rectifier.
type Activation struct {
	Max float32 `json:"max,omitempty"` // zero means unbounded; ReLU6 has 6
}

// Sigmoid holds the form of a sigmoid.
type Sigmoid struct {
	// Hard makes it min(max(x/6 + 1/2, 0), 1), as in MobileNet v3 (Howard et al.,
	// ICCV 2019).
	Hard bool `json:"hard,omitempty"`
}

// Pool holds the attributes of a max or average pooling.
type Pool struct {
	Kernel [2]int `json:"kernel"`
	Stride [2]int `json:"stride,omitzero"` // zero means {1, 1}
	Pad    Pad    `json:"pad,omitzero"`
	// Padding makes the padding follow from the input; Pad is zero then.
	Padding Padding `json:"padding,omitempty"`
	// CountPad makes an average divide by the whole window, padding included.
	CountPad bool `json:"count_pad,omitempty"`
}

// Dense holds the attributes of a fully connected layer.
type Dense struct {
	Out  int  `json:"out"`
	Bias bool `json:"bias,omitempty"`
}

// Subsample takes every Stride-th row and column and embeds the C input
// channels at Front among Out channels, the others zero: the parameter-free
// option A shortcut (He et al., CVPR 2016).
type Subsample struct {
	Stride int `json:"stride"`
	Front  int `json:"front,omitempty"`
	Out    int `json:"out"`
}

// Dropout sets values to zero with probability Rate, between 0 and 1, and scales
// the others by 1/(1-Rate), in training; otherwise it does nothing (Srivastava
// et al., JMLR 2014).
type Dropout struct {
	Rate float32 `json:"rate"`
}

// Network is an architecture for one input shape and number of classes.
type Network struct {
	Name      string  `json:"name"`
	Input     Shape   `json:"input"`
	Classes   int     `json:"classes"`
	Layers    []Layer `json:"layers"`    // inputs come before their users
	Logits    string  `json:"logits"`    // layer whose vector holds the class scores
	Embedding string  `json:"embedding"` // layer whose vector is the feature
}

// Layer returns the layer of that name.
func (n *Network) Layer(name string) (*Layer, bool) {
	for i := range n.Layers {
		if n.Layers[i].Name == name {
			return &n.Layers[i], true
		}
	}
	return nil, false
}

// ForInference returns the network without the layers that only act in
// training: what reads a dropout reads its input instead. The network must be
// valid; it is returned itself where nothing changes.
func (n *Network) ForInference() *Network {
	source := make(map[string]string) // of each dropout
	resolve := func(name string) string {
		if in, ok := source[name]; ok {
			return in
		}
		return name
	}
	out := *n
	out.Layers = nil
	for _, l := range n.Layers {
		if l.Kind == KindDropout {
			source[l.Name] = resolve(l.Inputs[0])
			continue
		}
		l.Inputs = slices.Clone(l.Inputs)
		for i, in := range l.Inputs {
			l.Inputs[i] = resolve(in)
		}
		out.Layers = append(out.Layers, l)
	}
	if len(source) == 0 {
		return n
	}
	out.Logits, out.Embedding = resolve(n.Logits), resolve(n.Embedding)
	return &out
}

// Parse reads a network from JSON and validates it. Unknown fields are
// errors.
func Parse(data []byte) (*Network, error) {
	var n Network
	if err := strictJSON(data, &n); err != nil {
		return nil, fmt.Errorf("network description: %w", err)
	}
	n.setDefaults()
	if err := n.Validate(); err != nil {
		return nil, err
	}
	return &n, nil
}

// JSON returns the description that Parse reads.
func (n *Network) JSON() ([]byte, error) {
	return json.MarshalIndent(n, "", " ")
}

// setDefaults replaces the documented zero values by what they mean, so that
// readers of a Network need not know them.
func (n *Network) setDefaults() {
	for i := range n.Layers {
		l := &n.Layers[i]
		if c := l.Conv; c != nil {
			c.Stride, c.Dilation = onesIfZero(c.Stride), onesIfZero(c.Dilation)
			if c.Groups == 0 {
				c.Groups = 1
			}
		}
		if b := l.BatchNorm; b != nil {
			if b.Epsilon == 0 {
				b.Epsilon = 1e-5
			}
			if b.Momentum == 0 {
				b.Momentum = 0.1
			}
		}
		if p := l.Pool; p != nil {
			p.Stride = onesIfZero(p.Stride)
		}
	}
}

func onesIfZero(p [2]int) [2]int {
	if p == ([2]int{}) {
		return [2]int{1, 1}
	}
	return p
}
