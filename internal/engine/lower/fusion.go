package lower

import (
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/models"
)

// fusion is a convolution with what inference computes in the same pass over its
// result: batch normalisation, addition of another layer, rectifier, each
// only if it alone reads the layer before.
type fusion struct {
	conv, norm *models.Layer // norm may be nil
	other      string        // what is added; "" for nothing
	act        *models.Activation
	last       string // the layer that the fusion computes
}

// planFusions finds the fusion of every convolution, by each of its layers. Of
// two convolutions that are added, the later takes the addition: a fusion is
// computed where its last layer stands.
func (g *graph) planFusions() map[string]*fusion {
	fusions := make(map[string]*fusion)
	for i := range slices.Backward(g.net.Layers) {
		if l := &g.net.Layers[i]; l.Kind == models.KindConv {
			g.planFusion(l, fusions)
		}
	}
	return fusions
}

func (g *graph) planFusion(conv *models.Layer, fusions map[string]*fusion) {
	f := &fusion{conv: conv}
	last, next := conv, g.onlyReader(conv)
	take := func() {
		last, next = next, g.onlyReader(next)
		fusions[last.Name] = f
	}
	fusions[conv.Name] = f
	if next != nil && next.Kind == models.KindBatchNorm {
		f.norm = next
		take()
	}
	if next != nil && next.Kind == models.KindAdd && fusions[next.Name] == nil {
		f.other = next.Inputs[0]
		if f.other == last.Name {
			f.other = next.Inputs[1]
		}
		take()
	}
	if next != nil && next.Kind == models.KindActivation {
		f.act = next.Activation
		take()
	}
	f.last = last.Name
}

func (g *graph) lowerFusion(f *fusion) (gops.Tensor, error) {
	name, owner := f.conv.Name, f.conv.Owner()
	weights, bias := g.params[owner+".weight"], g.params[owner+".bias"]
	if n := f.norm; n != nil {
		param := func(what string) *gorgonia.Node { return g.params[n.Name+what] }
		var err error
		weights, bias, err = g.b.FoldBatchNorm(weights, bias, param(".weight"), param(".bias"),
			param(".running_mean"), param(".running_var"), n.BatchNorm.Epsilon)
		if err != nil {
			return gops.Tensor{}, err
		}
	}
	var sum *gops.Tensor
	if f.other != "" {
		x := g.outputs[f.other]
		sum = &x
	}
	spec := g.convSpec(f.conv, g.fastDesc(g.shapes[name]))
	spec.Act = clip(f.act)
	return g.b.FusedConv(g.outputs[f.conv.Inputs[0]], weights, bias, sum, spec)
}
