package models

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// The bounds of a description. With them no product of extents overflows, and a
// hostile description cannot ask for absurd amounts of memory.
const (
	maxSide   = 1 << 16   // of any extent of a feature map
	maxValues = 1<<31 - 1 // of one sample's activation, or of one parameter

	maxClasses = 1 << 20 // and values of a dense layer
)

// bounded reports whether the product of extents is within maxValues; none may
// be past it itself.
func bounded(extents ...int) bool {
	n := 1
	for _, e := range extents {
		if n *= max(1, e); n > maxValues {
			return false
		}
	}
	return true
}

// Validate reports every fault of the description, joined. A network that
// passes can be initialised, lowered and exported.
func (n *Network) Validate() error {
	_, err := n.Shapes()
	return err
}

// Shapes returns the output shape of every layer by name, the input included.
// The error joins all faults of the network, each naming its layer.
func (n *Network) Shapes() (map[string]Shape, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("network %q: %w", n.Name, fmt.Errorf(format, args...)))
	}
	in := n.Input
	if in.C < 1 || in.H < 1 || in.W < 1 || in.C > maxSide || in.H > maxSide || in.W > maxSide {
		fault("input %v: channels, height and width must be between 1 and %d", in, maxSide)
	}
	if n.Classes < 2 || n.Classes > maxClasses {
		fault("classes is %d; it must be at least 2 and at most %d", n.Classes, maxClasses)
	}
	shapes := map[string]Shape{InputName: in}
	n.walk(fault, func(l *Layer) error {
		for _, name := range l.Inputs {
			if _, ok := shapes[name]; !ok {
				return errUpstream
			}
		}
		out, err := l.infer(shapes)
		if err == nil {
			err = n.checkSharedShapes(l, shapes)
		}
		if err == nil && !bounded(out.C, out.H, out.W) {
			err = fmt.Errorf("gives %v: more than %d values a sample", out, maxValues)
		}
		if err == nil {
			shapes[l.Name] = out
		}
		return err
	})
	for _, output := range []struct{ role, layer string }{{"logits", n.Logits}, {"embedding", n.Embedding}} {
		role, name := output.role, output.layer
		s, ok := shapes[name]
		switch {
		case !ok: // reported already
		case !s.IsVector():
			fault("%s must be a vector, layer %q gives %v", role, name, s)
		case role == "logits" && s.C != n.Classes:
			fault("logits layer %q gives %d values for %d classes", name, s.C, n.Classes)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return shapes, nil
}

// errUpstream marks a layer that is only wrong because its input is.
var errUpstream = errors.New("an input is invalid")

// walk reports the faults that no shape is needed for, and those that visit
// finds in the layers that have none of these; a nil visit finds none.
func (n *Network) walk(fault func(format string, args ...any), visit func(l *Layer) error) {
	known := map[string]bool{InputName: true}
	for i := range n.Layers {
		l := &n.Layers[i]
		if l.Name == "" || l.Name == InputName {
			fault("layer %d has the name %q", i+1, l.Name)
			continue
		}
		if known[l.Name] {
			fault("two layers are named %q", l.Name)
			continue
		}
		err := l.check(known)
		if err == nil {
			err = n.checkShared(i)
		}
		if err == nil && visit != nil {
			err = visit(l)
		}
		if err != nil && !errors.Is(err, errUpstream) {
			fault("layer %q (%s): %w", l.Name, l.Kind, err)
		}
		known[l.Name] = true
	}
	for _, output := range []struct{ role, layer string }{{"logits", n.Logits}, {"embedding", n.Embedding}} {
		if !known[output.layer] {
			fault("%s names the layer %q, which does not exist", output.role, output.layer)
		}
	}
}

// check reports a fault of the layer that no shape is needed for; known are
// the layers before it.
func (l *Layer) check(known map[string]bool) error {
	if !slices.Contains(Kinds(), l.Kind) {
		return fmt.Errorf("unknown kind; the kinds are %v", Kinds())
	}
	if err := l.checkInputs(); err != nil {
		return err
	}
	for _, name := range l.Inputs {
		if !known[name] {
			return fmt.Errorf("input %q is not an earlier layer", name)
		}
	}
	return l.checkAttributes()
}

// infer returns the output shape of a layer that check found in order, from
// the shapes before it.
func (l *Layer) infer(shapes map[string]Shape) (Shape, error) {
	in := shapes[l.Inputs[0]]
	spatial := func() error {
		if in.IsVector() {
			return fmt.Errorf("needs a feature map, input %q is a vector of %d", l.Inputs[0], in.C)
		}
		return nil
	}
	switch l.Kind {
	case KindConv:
		c := l.Conv
		if err := spatial(); err != nil {
			return Shape{}, err
		}
		if c.Out < 1 || c.Out > maxSide {
			return Shape{}, fmt.Errorf("out is %d; it must be 1 to %d", c.Out, maxSide)
		}
		if c.Groups < 1 || in.C%c.Groups != 0 || c.Out%c.Groups != 0 {
			return Shape{}, fmt.Errorf("%d to %d channels do not divide into %d groups", in.C, c.Out, c.Groups)
		}
		if !bounded(c.Out, in.C/c.Groups, c.Kernel[0], c.Kernel[1]) {
			return Shape{}, fmt.Errorf("has more than %d weights", maxValues)
		}
		return window(in, c.Out, c.Kernel, c.Stride, c.Dilation, c.Pad, c.Padding)
	case KindMaxPool, KindAvgPool:
		p := l.Pool
		if err := spatial(); err != nil {
			return Shape{}, err
		}
		if p.Pad.Top >= p.Kernel[0] || p.Pad.Bottom >= p.Kernel[0] || p.Pad.Left >= p.Kernel[1] || p.Pad.Right >= p.Kernel[1] {
			return Shape{}, fmt.Errorf("padding %+v is not smaller than the window %v", p.Pad, p.Kernel)
		}
		return window(in, in.C, p.Kernel, p.Stride, Square(1), p.Pad, p.Padding)
	case KindBatchNorm:
		if b := l.BatchNorm; !(b.Epsilon > 0) || !(b.Momentum > 0 && b.Momentum <= 1) {
			return Shape{}, fmt.Errorf("epsilon %g must be positive and momentum %g in (0, 1]", b.Epsilon, b.Momentum)
		}
		return in, nil
	case KindActivation:
		if a := l.Activation; !(a.Max >= 0) {
			return Shape{}, fmt.Errorf("max %g is negative", a.Max)
		}
		return in, nil
	case KindSigmoid:
		return in, nil
	case KindMultiply:
		gate := shapes[l.Inputs[1]]
		if isGate := !in.IsVector() && (gate == Vector(in.C) || gate == Shape{C: in.C, H: 1, W: 1}); gate != in && !isGate {
			return Shape{}, fmt.Errorf("multiplies %v by %v: want the same shape, or a value for each channel of a feature map", in, gate)
		}
		return in, nil
	case KindAdd:
		if other := shapes[l.Inputs[1]]; other != in {
			return Shape{}, fmt.Errorf("adds %v and %v", in, other)
		}
		return in, nil
	case KindConcat:
		return l.concatenated(shapes)
	case KindGlobalAvgPool:
		return Vector(in.C), spatial()
	case KindFlatten:
		return Vector(in.Size()), spatial()
	case KindDense:
		if !in.IsVector() {
			return Shape{}, fmt.Errorf("needs a vector, input %q is %v: flatten or pool it first", l.Inputs[0], in)
		}
		if l.Dense.Out < 1 || l.Dense.Out > maxClasses {
			return Shape{}, fmt.Errorf("out is %d; it must be 1 to %d (a file may leave it out of the logits alone)", l.Dense.Out, maxClasses)
		}
		if !bounded(l.Dense.Out, in.C) {
			return Shape{}, fmt.Errorf("has more than %d weights", maxValues)
		}
		return Vector(l.Dense.Out), nil
	case KindSubsample:
		s := l.Subsample
		if err := spatial(); err != nil {
			return Shape{}, err
		}
		if s.Stride < 1 || s.Front < 0 || s.Out > maxSide || s.Front+in.C > s.Out {
			return Shape{}, fmt.Errorf("%+v cannot hold %d channels", *s, in.C)
		}
		return Shape{C: s.Out, H: (in.H + s.Stride - 1) / s.Stride, W: (in.W + s.Stride - 1) / s.Stride}, nil
	case KindDropout:
		if d := l.Dropout; !(d.Rate > 0 && d.Rate < 1) {
			return Shape{}, fmt.Errorf("rate %g is not between 0 and 1", d.Rate)
		}
		return in, nil
	}
	return Shape{}, fmt.Errorf("no shape for this kind")
}

// checkInputs reports a wrong number of inputs.
func (l *Layer) checkInputs() error {
	switch n := len(l.Inputs); {
	case l.Kind == KindConcat && n < 2:
		return fmt.Errorf("has %d inputs, needs at least 2", n)
	case l.takesTwo() && n != 2:
		return fmt.Errorf("has %d inputs, needs 2", n)
	case !l.takesTwo() && l.Kind != KindConcat && n != 1:
		return fmt.Errorf("has %d inputs, needs 1", n)
	}
	return nil
}

func (l *Layer) takesTwo() bool { return l.Kind == KindAdd || l.Kind == KindMultiply }

// checkShared reports why layer i cannot have the parameters of the layer that it
// names; the shapes of their inputs aside.
func (n *Network) checkShared(i int) error {
	l := &n.Layers[i]
	if l.WeightsOf == "" {
		return nil
	}
	at := slices.IndexFunc(n.Layers[:i], func(o Layer) bool { return o.Name == l.WeightsOf })
	if at < 0 {
		return fmt.Errorf("weights_of %q is not an earlier layer", l.WeightsOf)
	}
	owner := &n.Layers[at]
	switch {
	case l.Kind != KindConv && l.Kind != KindDense:
		return fmt.Errorf("has weights_of, which convolutions and dense layers alone may have")
	case owner.WeightsOf != "":
		return fmt.Errorf("weights_of %q, which itself has the weights of %q: name that", owner.Name, owner.WeightsOf)
	case owner.Kind != l.Kind || !reflect.DeepEqual(owner.Conv, l.Conv) || !reflect.DeepEqual(owner.Dense, l.Dense):
		return fmt.Errorf("weights_of %q, which is another kind or has other attributes", owner.Name)
	}
	return nil
}

// checkSharedShapes reports that the owner of the layer's parameters reads another
// number of channels.
func (n *Network) checkSharedShapes(l *Layer, shapes map[string]Shape) error {
	if l.WeightsOf == "" {
		return nil
	}
	owner, _ := n.Layer(l.WeightsOf)
	in, ok := shapes[owner.Inputs[0]]
	if !ok {
		return errUpstream
	}
	if got := shapes[l.Inputs[0]]; got.C != in.C {
		return fmt.Errorf("reads %d channels and has the weights of %q, which reads %d", got.C, owner.Name, in.C)
	}
	return nil
}

// concatenated returns the shape of all inputs one after the other.
func (l *Layer) concatenated(shapes map[string]Shape) (Shape, error) {
	out, limit := shapes[l.Inputs[0]], maxSide
	if out.IsVector() {
		limit = maxValues
	}
	for _, name := range l.Inputs[1:] {
		s := shapes[name]
		if s.H != out.H || s.W != out.W {
			return Shape{}, fmt.Errorf("joins %v and %v: height and width must be equal", shapes[l.Inputs[0]], s)
		}
		if out.C += s.C; out.C > limit {
			return Shape{}, fmt.Errorf("joins more than %d channels", limit)
		}
	}
	return out, nil
}

// checkAttributes reports a missing attribute struct, or one of another kind.
func (l *Layer) checkAttributes() error {
	has := map[string]bool{
		"conv": l.Conv != nil, "batch_norm": l.BatchNorm != nil, "activation": l.Activation != nil,
		"sigmoid": l.Sigmoid != nil, "pool": l.Pool != nil, "dense": l.Dense != nil, "subsample": l.Subsample != nil,
		"dropout": l.Dropout != nil,
	}
	need := string(l.Kind)
	switch l.Kind {
	case KindMaxPool, KindAvgPool:
		need = "pool"
	case KindAdd, KindMultiply, KindConcat, KindGlobalAvgPool, KindFlatten:
		need = ""
	}
	if need != "" && !has[need] {
		return fmt.Errorf("attributes %q are missing", need)
	}
	for _, name := range []string{"conv", "batch_norm", "activation", "sigmoid", "pool", "dense", "subsample", "dropout"} {
		if has[name] && name != need {
			return fmt.Errorf("has attributes %q of another kind", name)
		}
	}
	return nil
}

// window returns the output shape of a sliding window.
func window(in Shape, channels int, kernel, stride, dilation [2]int, pad Pad, padding Padding) (Shape, error) {
	if err := padding.validate(pad); err != nil {
		return Shape{}, err
	}
	for _, v := range []int{kernel[0], kernel[1], stride[0], stride[1], dilation[0], dilation[1]} {
		if v < 1 || v > maxSide {
			return Shape{}, fmt.Errorf("kernel %v, stride %v and dilation %v must be positive", kernel, stride, dilation)
		}
	}
	pad = padding.resolve(pad, in, kernel, stride, dilation)
	if pad.Top < 0 || pad.Left < 0 || pad.Bottom < 0 || pad.Right < 0 ||
		pad.Top > maxSide || pad.Left > maxSide || pad.Bottom > maxSide || pad.Right > maxSide {
		return Shape{}, fmt.Errorf("padding %+v is negative or too large", pad)
	}
	extent := func(size, before, after, k, s, d int) int {
		return (size+before+after-(k-1)*d-1)/s + 1
	}
	if in.H+pad.Top+pad.Bottom < (kernel[0]-1)*dilation[0]+1 || in.W+pad.Left+pad.Right < (kernel[1]-1)*dilation[1]+1 {
		return Shape{}, fmt.Errorf("window %v does not fit into %v with padding %+v", kernel, in, pad)
	}
	return Shape{
		C: channels,
		H: extent(in.H, pad.Top, pad.Bottom, kernel[0], stride[0], dilation[0]),
		W: extent(in.W, pad.Left, pad.Right, kernel[1], stride[1], dilation[1]),
	}, nil
}
