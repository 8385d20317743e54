//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type conv struct {
	planned
	spec                                   kernel.ConvSpec
	weights                                int         // number of values
	hint                                   *C.dml_plan // oneDNN's forward plan, from which it plans its backward passes
	forward, backwardData, backwardWeights *C.dml_plan
	finish                                 *C.dml_finish // after forward, where that is bare
}

// errNotPlanned is returned for a pass that the spec promised not to need.
var errNotPlanned = fmt.Errorf("%w: the spec says that this pass is never run", kernel.ErrArgument)

// Conv plans a convolution.
func (e *engine) Conv(s kernel.ConvSpec) (kernel.Conv, error) {
	if err := e.planning("a convolution", s.Validate()); err != nil {
		return nil, err
	}
	s.Groups, s.DilationH, s.DilationW = max(1, s.Groups), max(1, s.DilationH), max(1, s.DilationW)
	shape := s.WeightShape()
	c := &conv{
		planned: planned{e, fmt.Sprintf("convolution %dx%d of %v to %v", s.KernelH, s.KernelW, s.Src, s.Dst)},
		spec:    s,
		weights: shape[0] * shape[1] * shape[2] * shape[3],
	}
	if err := c.planPasses(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *conv) planPasses() (err error) {
	if c.spec.ForwardOnly {
		return c.planForward(C.DML_INFERENCE)
	}
	if err := c.planForward(C.DML_FORWARD); err != nil {
		return err
	}
	if c.backwardWeights, err = c.planBackward("backward weights", C.DML_BACKWARD_WEIGHTS); err != nil || c.spec.NoDataGradient {
		return err
	}
	c.backwardData, err = c.planBackward("backward data", C.DML_BACKWARD_DATA)
	return err
}

func (c *conv) planForward(pass C.enum_dml_pass) (err error) {
	if c.eng.winogradFits(c.spec, pass) {
		c.forward, err = c.plan("forward", c.spec, pass, C.DML_WINOGRAD, nil)
		return err
	}
	if c.spec.Sum || c.spec.Act != nil {
		return c.planFused()
	}
	if c.hint, err = c.plan("forward", c.spec, pass, c.eng.libraryAlgorithm(c.spec), nil); err != nil {
		return err
	}
	if c.forward = c.hint; c.eng.mirrors(c.spec) {
		c.forward, err = c.planMirrored(c.spec)
	}
	return err
}

// planFused plans a forward pass that ends in a sum or an activation: in the
// primitive where oneDNN can, else as a pass of our own after the bare
// convolution. Where that is mirrored it wins in spite of the pass. Before AVX2
// oneDNN's fused convolutions crash on operands that are not aligned.
func (c *conv) planFused() error {
	bare := c.spec
	bare.Bias, bare.Sum, bare.Act = false, false, nil
	var err error
	if c.eng.mirrors(bare) {
		c.forward, err = c.planMirrored(bare)
	} else {
		if c.eng.backend.has(isaAVX2) {
			if c.forward, err = c.plan("fused forward", c.spec, C.DML_INFERENCE, c.eng.libraryAlgorithm(c.spec), nil); err == nil {
				return nil
			}
		}
		c.forward, err = c.plan("forward", bare, C.DML_INFERENCE, c.eng.libraryAlgorithm(bare), nil)
	}
	if err != nil {
		return err
	}
	g := c.eng.geometry(c.spec)
	if c.finish = C.dml_finish_plan(c.eng.ptr, &g); c.finish == nil {
		return c.fail("planning the end of the forward pass", kernel.ErrMemory)
	}
	return nil
}

func (c *conv) planBackward(name string, pass C.enum_dml_pass) (*C.dml_plan, error) {
	if c.eng.winogradFits(c.spec, pass) {
		return c.plan(name, c.spec, pass, C.DML_WINOGRAD, nil)
	}
	if c.hint == nil {
		var err error
		if c.hint, err = c.plan("forward", c.spec, C.DML_FORWARD, c.eng.libraryAlgorithm(c.spec), nil); err != nil {
			return nil, err
		}
	}
	return c.plan(name, c.spec, pass, c.eng.libraryAlgorithm(c.spec), c.hint)
}

func (c *conv) plan(name string, s kernel.ConvSpec, pass C.enum_dml_pass, algorithm C.enum_dml_algorithm, hint *C.dml_plan) (*C.dml_plan, error) {
	g := c.eng.geometry(s)
	g.algorithm = algorithm
	var plan *C.dml_plan
	err := c.planDone("planning the "+name+" pass", C.dml_conv_plan(c.eng.ptr, &g, pass, hint, &plan))
	return plan, err
}

func (c *conv) planMirrored(s kernel.ConvSpec) (*C.dml_plan, error) {
	g := c.eng.geometry(s)
	var plan *C.dml_plan
	err := c.planDone("planning the mirrored forward pass", C.dml_conv_plan_mirrored(c.eng.ptr, &g, &plan))
	return plan, err
}

func (e *engine) geometry(s kernel.ConvSpec) C.dml_conv_geometry {
	act, lo, hi := clipArgs(s.Act)
	return C.dml_conv_geometry{
		src:        cdesc(s.Src),
		dst:        cdesc(s.Dst),
		kernel:     pair(s.KernelH, s.KernelW),
		stride:     pair(s.StrideH, s.StrideW),
		dilation:   pair(s.DilationH, s.DilationW),
		pad_before: pair(s.Pad.Top, s.Pad.Left),
		pad_after:  pair(s.Pad.Bottom, s.Pad.Right),
		groups:     C.int64_t(s.Groups),
		bias:       cbool(s.Bias),
		bfloat16:   cbool(e.rounds(s)),
		sum:        cbool(s.Sum),
		act:        act,
		lo:         lo,
		hi:         hi,
	}
}

// winogradFits reports whether our own Winograd kernels compute a pass. On
// ResNet-32's shapes they take 0.4 of the time of oneDNN's direct convolutions,
// and 0.75 of that of its Winograd ones; see docs/performance.md. The gradient
// of many weights waits for memory, for its sums of products: there oneDNN's
// Winograd is faster, where it has one.
func (e *engine) winogradFits(s kernel.ConvSpec, pass C.enum_dml_pass) bool {
	lanes := int(C.dml_lib_winograd_lanes(e.backend.lib))
	most := 1 << 19
	if e.backend.hasWinograd() {
		most = 1 << 16
	}
	return lanes > 0 && e.winogradAllowed(s) &&
		s.Src.Layout.Block() == lanes && s.Dst.Layout.Block() == lanes && s.Src.C%lanes == 0 && s.Dst.C%lanes == 0 &&
		max(s.Pad.Top, s.Pad.Left, s.Pad.Bottom, s.Pad.Right) < 3 &&
		(pass != C.DML_BACKWARD_WEIGHTS || !s.Bias && s.Src.C*s.Dst.C <= most)
}

// winogradAllowed reports whether Winograd's algorithm is allowed and computes the
// convolution.
func (e *engine) winogradAllowed(s kernel.ConvSpec) bool {
	return !e.opts.NoWinograd && s.KernelH == 3 && s.KernelW == 3 && s.StrideH == 1 && s.StrideW == 1 &&
		s.DilationH == 1 && s.DilationW == 1 && s.Groups == 1
}

// rounds reports whether oneDNN multiplies in bfloat16: in training alone, so
// that evaluation and export see what float32 computes. Depthwise convolutions
// wait for memory, and our Winograd kernels are faster in float32 than oneDNN in
// bfloat16.
func (e *engine) rounds(s kernel.ConvSpec) bool {
	return e.opts.BFloat16 && !s.ForwardOnly && s.Groups == 1 &&
		s.Src.Layout == kernel.NChw16c && s.Dst.Layout == kernel.NChw16c
}

// libraryAlgorithm returns what oneDNN should compute with.
func (e *engine) libraryAlgorithm(s kernel.ConvSpec) C.enum_dml_algorithm {
	if e.winogradAllowed(s) && !e.rounds(s) && e.backend.hasWinograd() && min(s.Src.C, s.Dst.C) >= 32 {
		return C.DML_WINOGRAD_LIBRARY
	}
	return C.DML_DIRECT
}

// mirrors reports whether the forward pass runs as the data gradient of the
// convolution in the other direction, which computes the same. On up to 16
// output channels oneDNN's forward implementation reaches 85 GFLOP/s where that
// one reaches 110: under AVX2 at every width, under AVX-512 on rows of 29 to 32
// pixels, as CIFAR's are, and without loss elsewhere.
func (e *engine) mirrors(s kernel.ConvSpec) bool {
	return e.backend.has(isaAVX2) && !e.rounds(s) && !s.Bias && s.Groups == 1 && s.Src.C >= 16 && s.Dst.C <= 16 &&
		s.KernelH > 1 && s.KernelW > 1 && s.StrideH == 1 && s.StrideW == 1 &&
		max(s.Pad.Top, s.Pad.Bottom) <= (s.KernelH-1)*s.DilationH &&
		max(s.Pad.Left, s.Pad.Right) <= (s.KernelW-1)*s.DilationW
}

// biases is the length of the bias.
func (c *conv) biases() int {
	if c.spec.Bias {
		return c.spec.Dst.C
	}
	return 0
}

func (c *conv) Forward(dst, src kernel.Tensor, weights, bias []float32) error {
	const what = "forward pass"
	if err := c.check(what,
		kernel.CheckTensor("dst", dst, c.spec.Dst),
		kernel.CheckTensor("src", src, c.spec.Src),
		kernel.CheckSlice("weights", weights, c.weights),
		kernel.CheckSlice("bias", bias, c.biases())); err != nil {
		return err
	}
	if c.finish != nil {
		return c.done(what, C.dml_conv_forward_finished(c.forward, c.finish, ptr(dst.Data), ptr(src.Data), ptr(weights), ptr(bias)))
	}
	return c.done(what, C.dml_conv_forward(c.forward, ptr(dst.Data), ptr(src.Data), ptr(weights), ptr(bias)))
}

func (c *conv) BackwardData(dSrc, dDst kernel.Tensor, weights []float32) error {
	const what = "data gradient"
	if c.backwardData == nil {
		return c.fail(what, errNotPlanned)
	}
	if err := c.check(what,
		kernel.CheckTensor("dSrc", dSrc, c.spec.Src),
		kernel.CheckTensor("dDst", dDst, c.spec.Dst),
		kernel.CheckSlice("weights", weights, c.weights)); err != nil {
		return err
	}
	return c.done(what, C.dml_conv_backward_data(c.backwardData, ptr(dSrc.Data), ptr(dDst.Data), ptr(weights)))
}

func (c *conv) BackwardWeights(dWeights, dBias []float32, src, dDst kernel.Tensor) error {
	const what = "weight gradient"
	if c.backwardWeights == nil {
		return c.fail(what, errNotPlanned)
	}
	biases := 0
	if dBias != nil {
		biases = c.biases()
	}
	if err := c.check(what,
		kernel.CheckSlice("dWeights", dWeights, c.weights),
		kernel.CheckSlice("dBias", dBias, biases),
		kernel.CheckTensor("src", src, c.spec.Src),
		kernel.CheckTensor("dDst", dDst, c.spec.Dst)); err != nil {
		return err
	}
	return c.done(what, C.dml_conv_backward_weights(c.backwardWeights, ptr(dWeights), ptr(dBias), ptr(src.Data), ptr(dDst.Data)))
}

// implementations names what oneDNN runs for the passes: forward, weight
// gradient, data gradient.
func (c *conv) implementations() [3]string {
	var names [3]string
	for i, p := range []*C.dml_plan{c.forward, c.backwardWeights, c.backwardData} {
		if p != nil {
			names[i] = C.GoString(C.dml_plan_implementation(p))
		}
	}
	return names
}
