// Package gops makes Gorgonia operations out of kernels.
//
// A [Builder] appends nodes to a Gorgonia expression graph. Each node's op runs
// a planned kernel and differentiates itself symbolically, so Gorgonia derives
// the backward pass. The shape that Gorgonia sees is the physical one of the
// kernel's layout ([kernel.Desc.Dims]); the logical shape travels beside the
// node in [Tensor].
//
// A Gorgonia op has one result. Batch normalisation has three gradients: its
// backward op returns that of the input and keeps the other two, which tap
// ops, made dependent on it, hand out.
package gops
