package models

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// Role says what a parameter is, and so how it is initialised and trained.
type Role uint8

const (
	RoleWeight      Role = iota // convolution or dense weights
	RoleBias                    // convolution or dense bias
	RoleGamma                   // batch-norm scale
	RoleBeta                    // batch-norm shift
	RoleRunningMean             // batch-norm statistic, not trained by gradient
	RoleRunningVar              // batch-norm statistic, not trained by gradient
)

// Param describes one parameter tensor of a network.
type Param struct {
	Name  string // layer name and PyTorch's suffix, such as "bn1.running_mean"
	Layer string
	Role  Role
	Shape []int
}

// Trainable reports whether gradient descent changes the parameter.
func (p Param) Trainable() bool { return p.Role != RoleRunningMean && p.Role != RoleRunningVar }

// Size returns the number of values.
func (p Param) Size() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Weights holds the values of a network's parameters by name.
type Weights map[string][]float32

// Clone returns a deep copy.
func (w Weights) Clone() Weights {
	out := make(Weights, len(w))
	for name, v := range w {
		out[name] = append([]float32(nil), v...)
	}
	return out
}

// Params lists the parameters in the order of the layers. The network must be
// valid.
func (n *Network) Params() ([]Param, error) {
	shapes, err := n.Shapes()
	if err != nil {
		return nil, err
	}
	var out []Param
	for i := range n.Layers {
		l := &n.Layers[i]
		if l.WeightsOf != "" {
			continue
		}
		in := shapes[l.Inputs[0]]
		add := func(suffix string, role Role, shape ...int) {
			out = append(out, Param{Name: l.Name + "." + suffix, Layer: l.Name, Role: role, Shape: shape})
		}
		switch l.Kind {
		case KindConv:
			add("weight", RoleWeight, l.Conv.Out, in.C/l.Conv.Groups, l.Conv.Kernel[0], l.Conv.Kernel[1])
			if l.Conv.Bias {
				add("bias", RoleBias, l.Conv.Out)
			}
		case KindDense:
			add("weight", RoleWeight, l.Dense.Out, in.C)
			if l.Dense.Bias {
				add("bias", RoleBias, l.Dense.Out)
			}
		case KindBatchNorm:
			add("weight", RoleGamma, in.C)
			add("bias", RoleBeta, in.C)
			add("running_mean", RoleRunningMean, in.C)
			add("running_var", RoleRunningVar, in.C)
		}
	}
	return out, nil
}

// ParameterCount returns the number of trainable values, as papers count them
// (batch-norm statistics are not).
func (n *Network) ParameterCount() (int, error) {
	params, err := n.Params()
	total := 0
	for _, p := range params {
		if p.Trainable() {
			total += p.Size()
		}
	}
	return total, err
}

// MultiplyAdds returns the multiply-adds of the convolutions and dense layers
// for one sample's forward pass.
func (n *Network) MultiplyAdds() (int64, error) {
	shapes, err := n.Shapes()
	if err != nil {
		return 0, err
	}
	var total int64
	for i := range n.Layers {
		l := &n.Layers[i]
		in, out := shapes[l.Inputs[0]], shapes[l.Name]
		switch l.Kind {
		case KindConv:
			total += int64(out.Size()) * int64(in.C/l.Conv.Groups*l.Conv.Kernel[0]*l.Conv.Kernel[1])
		case KindDense:
			total += int64(in.C) * int64(out.C)
		}
	}
	return total, nil
}

// Init returns seeded initial weights: convolutions from N(0, 2/fan_in) (He et
// al., ICCV 2015), dense layers from N(0, 1/fan_in), batch norm the identity,
// biases zero. Each parameter draws from a stream of its own, chosen by seed
// and name, so equal names and seeds give equal values in any network.
func (n *Network) Init(seed uint64) (Weights, error) {
	params, err := n.Params()
	if err != nil {
		return nil, err
	}
	out := make(Weights, len(params))
	for _, p := range params {
		v := make([]float32, p.Size())
		switch p.Role {
		case RoleWeight:
			fanIn, gain := p.Size()/p.Shape[0], 1.0
			if len(p.Shape) == 4 {
				gain = 2
			}
			std := math.Sqrt(gain / float64(fanIn))
			h := fnv.New64a()
			h.Write([]byte(p.Name))
			rng := rand.New(rand.NewPCG(seed, h.Sum64()))
			for i := range v {
				v[i] = float32(rng.NormFloat64() * std)
			}
		case RoleGamma, RoleRunningVar:
			for i := range v {
				v[i] = 1
			}
		}
		out[p.Name] = v
	}
	return out, nil
}

// CheckWeights reports every parameter that w lacks or holds in another size,
// and every entry that the network does not have.
func (n *Network) CheckWeights(w Weights) error {
	params, err := n.Params()
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(params))
	for _, p := range params {
		known[p.Name] = true
		v, ok := w[p.Name]
		switch {
		case !ok:
			return fmt.Errorf("weights of %s: %q is missing", n.Name, p.Name)
		case len(v) != p.Size():
			return fmt.Errorf("weights of %s: %q has %d values, want %v", n.Name, p.Name, len(v), p.Shape)
		}
	}
	for name := range w {
		if !known[name] {
			return fmt.Errorf("weights of %s: %q belongs to no layer", n.Name, name)
		}
	}
	return nil
}
