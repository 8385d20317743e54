package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/deepmutual/dml/models"
)

// serveStock runs a training step of one CIFAR ResNet with Gorgonia's own ops
// and machine: what the toolkit would do without kernels of its own.
func serveStock(work Work, o *orders) error {
	if work.Students != 1 || work.Evaluate || !strings.HasPrefix(work.Arch, "resnet") {
		return fmt.Errorf("stock Gorgonia trains one ResNet, not %s", work)
	}
	s := &stock{g: gorgonia.NewGraph(), rng: rand.New(rand.NewPCG(1, 2))}
	desc, err := work.network()
	if err != nil {
		return err
	}
	x := s.leaf("input", work.Batch, 3, work.Height, work.Width)
	logits, err := s.network(desc, x, work.Batch)
	if err != nil {
		return err
	}
	labels := gorgonia.NewMatrix(s.g, tensor.Float32, gorgonia.WithShape(work.Batch, classes), gorgonia.WithName("labels"))
	oneHot := tensor.New(tensor.WithShape(work.Batch, classes), tensor.Of(tensor.Float32))
	for i := range work.Batch {
		if err := oneHot.SetAt(float32(1), i, i%classes); err != nil {
			return err
		}
	}
	if err := gorgonia.Let(labels, oneHot); err != nil {
		return err
	}
	loss, err := crossEntropy(logits, labels)
	if err != nil {
		return err
	}
	if _, err := gorgonia.Grad(loss, s.params...); err != nil {
		return err
	}
	vm := gorgonia.NewTapeMachine(s.g, gorgonia.BindDualValues(s.params...))
	defer vm.Close()
	solver := gorgonia.NewMomentum(gorgonia.WithLearnRate(0.01), gorgonia.WithMomentum(0.9))
	// Its batch norm has parameters for every value, so their number tells nothing.
	fmt.Fprintln(o.out, "0 Gorgonia's own ops and tape machine")
	for {
		if err := o.next(); err != nil {
			return err
		}
		if err := vm.RunAll(); err != nil {
			return err
		}
		if err := solver.Step(gorgonia.NodesToValueGrads(s.params)); err != nil {
			return err
		}
		vm.Reset()
		o.done()
	}
}

// stock builds a graph of Gorgonia's own ops.
type stock struct {
	g      *gorgonia.ExprGraph
	rng    *rand.Rand
	params gorgonia.Nodes
}

// leaf adds a node of small random values.
func (s *stock) leaf(name string, shape ...int) *gorgonia.Node {
	values := tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))
	data := values.Data().([]float32)
	for i := range data {
		data[i] = float32(s.rng.NormFloat64()) * 0.1
	}
	return gorgonia.NewTensor(s.g, tensor.Float32, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(values))
}

func (s *stock) param(name string, shape ...int) *gorgonia.Node {
	n := s.leaf(name, shape...)
	s.params = append(s.params, n)
	return n
}

// network lowers the layers of a ResNet.
func (s *stock) network(desc *models.Network, input *gorgonia.Node, batch int) (*gorgonia.Node, error) {
	shapes, err := desc.Shapes()
	if err != nil {
		return nil, err
	}
	outputs := map[string]*gorgonia.Node{models.InputName: input}
	for i := range desc.Layers {
		l := &desc.Layers[i]
		x, in, out := outputs[l.Inputs[0]], shapes[l.Inputs[0]], shapes[l.Name]
		var y *gorgonia.Node
		switch l.Kind {
		case models.KindConv:
			w := s.param(l.Name, l.Conv.Out, in.C, 3, 3)
			y, err = gorgonia.Conv2d(x, w, tensor.Shape{3, 3}, []int{1, 1}, l.Conv.Stride[:], []int{1, 1})
		case models.KindBatchNorm:
			scale, bias := s.param(l.Name+".weight", batch, in.C, in.H, in.W), s.param(l.Name+".bias", batch, in.C, in.H, in.W)
			y, _, _, _, err = gorgonia.BatchNorm(x, scale, bias, 0.9, 1e-5)
		case models.KindActivation:
			y, err = gorgonia.Rectify(x)
		case models.KindAdd:
			y, err = gorgonia.Add(x, outputs[l.Inputs[1]])
		case models.KindSubsample: // as a 1x1 convolution, for want of a padding op
			w := s.leaf(l.Name, l.Subsample.Out, in.C, 1, 1)
			y, err = gorgonia.Conv2d(x, w, tensor.Shape{1, 1}, []int{0, 0}, []int{l.Subsample.Stride, l.Subsample.Stride}, []int{1, 1})
		case models.KindGlobalAvgPool: // whose own op has no gradient
			if y, err = gorgonia.Reshape(x, tensor.Shape{batch * in.C, in.H * in.W}); err == nil {
				if y, err = gorgonia.Mean(y, 1); err == nil {
					y, err = gorgonia.Reshape(y, tensor.Shape{batch, in.C})
				}
			}
		case models.KindDense:
			y, err = gorgonia.Mul(x, s.param(l.Name, in.C, out.C))
		default:
			err = fmt.Errorf("no such layer in a ResNet")
		}
		if err != nil {
			return nil, fmt.Errorf("stock Gorgonia: layer %s (%s): %w", l.Name, l.Kind, err)
		}
		outputs[l.Name] = y
	}
	return outputs[desc.Logits], nil
}

// crossEntropy is the mean negative log-likelihood of one-hot labels.
func crossEntropy(logits, labels *gorgonia.Node) (*gorgonia.Node, error) {
	p, err := gorgonia.SoftMax(logits)
	if err != nil {
		return nil, err
	}
	logp, err := gorgonia.Log(p)
	if err != nil {
		return nil, err
	}
	terms, err := gorgonia.HadamardProd(labels, logp)
	if err != nil {
		return nil, err
	}
	sum, err := gorgonia.Sum(terms)
	if err != nil {
		return nil, err
	}
	return gorgonia.Neg(sum)
}
