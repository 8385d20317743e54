package warmstart

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deepmutual/dml/models"
)

// Options configures Match.
type Options struct {
	// Classes are the names of the network's classes. Where the file has names,
	// too, and they differ, its classifier is left out.
	Classes []string
}

// Match returns a copy of the network's seeded weights with all that the file
// has in their place, and what became of each. The order of the matching is:
//
//  1. By name. Tensors are called LAYER.weight, LAYER.bias and so on as in
//     PyTorch, or LAYER/kernel, LAYER/gamma and so on as in Keras; a folded
//     convolution that PyTorch exported without a name has that of its node's
//     module. The layers' names are this toolkit's, those of
//     tf.keras.applications.MobileNet, or those of timm's mobilenetv1,
//     whichever are most; wrappers such as "module." may stand before them. The
//     classifier may have any of the names that libraries give it.
//  2. If no name matches: by position and shape, in files that know an order,
//     if half of the layers find theirs. A batch norm goes with the convolution
//     before it.
//
// The error wraps ErrShape, naming every tensor whose shape differs from that
// of its parameter, ErrValues or ErrNothingMatched. The classifier may differ:
// it is left out then.
func (s *Source) Match(net *models.Network, seeded models.Weights, opts Options) (models.Weights, *Report, error) {
	if err := net.CheckWeights(seeded); err != nil {
		return nil, nil, err
	}
	m := &matching{src: s, weights: seeded.Clone(), taken: make(map[*tensor]bool),
		report: &Report{File: s.Path, Format: s.Format, SHA256: s.SHA256}}
	var err error
	if m.layers, err = layersOf(net, m.weights); err != nil {
		return nil, nil, err
	}
	m.classifier = classifierOf(net, m.layers)
	if !m.byName() && !(s.ordered && m.byPosition()) {
		return nil, nil, fmt.Errorf("%s: %w: the file has %s, the network %s has %s", s.Path, ErrNothingMatched,
			examples(s.layers), net.Name, examples(m.layers))
	}
	m.leaveOutClassifier(net, opts)
	if err := m.load(); err != nil {
		return nil, nil, fmt.Errorf("%s for %s: %w", s.Path, net.Name, err)
	}
	m.account()
	return m.weights, m.report, nil
}

// matching is one network's match with a file.
type matching struct {
	src        *Source
	layers     []layer // of the network; the tensors share the values of weights
	classifier int     // index of the layer of the logits, or -1
	pairs      []int   // layer of the file for each of the network's, or -1
	weights    models.Weights
	taken      map[*tensor]bool // of the file
	leftOut    string           // why the classifier is
	report     *Report
}

// classifierOf returns the index of the last layer with weights before the
// logits.
func classifierOf(net *models.Network, layers []layer) int {
	for name := net.Logits; name != models.InputName; {
		if at := slices.IndexFunc(layers, func(l layer) bool { return l.name == name }); at >= 0 {
			return at
		}
		l, _ := net.Layer(name)
		name = l.Inputs[0]
	}
	return -1
}

// unpaired forgets all pairs.
func (m *matching) unpaired() []int {
	pairs := make([]int, len(m.layers))
	for i := range pairs {
		pairs[i] = -1
	}
	return pairs
}

// found counts the pairs, the classifier's aside.
func (m *matching) found(pairs []int) int {
	n := 0
	for i, at := range pairs {
		if at >= 0 && i != m.classifier {
			n++
		}
	}
	return n
}

// byName pairs layers of one name, in the naming that gives the most, and
// reports whether there are any.
func (m *matching) byName() bool {
	type key struct {
		name string
		norm bool
	}
	most := 0
	for _, naming := range namings() {
		index := make(map[key]int)
		for i, l := range m.src.layers {
			if l.name != "" {
				index[key{naming.layer(l.name), l.kind == models.KindBatchNorm}] = i
			}
		}
		pairs := m.unpaired()
		for i, l := range m.layers {
			names := []string{l.name}
			if i == m.classifier {
				names = append(names, classifiers...)
			}
			for _, name := range names {
				if at, ok := index[key{name, l.kind == models.KindBatchNorm}]; ok && pairs[i] < 0 {
					pairs[i] = at
				}
			}
		}
		if n := m.found(pairs); n > most {
			most, m.pairs = n, pairs
			m.report.Matching, m.report.Naming = "names", naming.name
		}
	}
	return most > 0
}

// byPosition pairs the convolutions and dense layers of each shape in order,
// where file and network have equally many, and likewise the batch norms that
// follow no convolution; the others go with their convolutions. It reports
// whether at least half of the network's layers have found theirs.
func (m *matching) byPosition() bool {
	theirs := bySignature(m.src.layers)
	ours := bySignature(m.layers)
	m.pairs = m.unpaired()
	for signature, at := range ours {
		if len(theirs[signature]) != len(at) {
			continue
		}
		for i, own := range at {
			m.pairs[own] = theirs[signature][i]
		}
	}
	for i, l := range m.layers {
		if l.kind != models.KindBatchNorm || l.follows < 0 || m.pairs[l.follows] < 0 {
			continue
		}
		m.pairs[i] = normOf(m.src.layers, m.pairs[l.follows])
	}
	last := len(m.src.layers) - 1
	if c := m.classifier; c >= 0 && m.pairs[c] < 0 && last >= 0 && !slices.Contains(m.pairs, last) && isClassifier(m.src.layers[last], m.layers[c]) {
		m.pairs[c] = last
	}
	m.report.Matching, m.report.Naming = "positions", ""
	// A few equal shapes are chance.
	found, all := 0, 0
	for i, l := range m.layers {
		if l.kind == models.KindBatchNorm || i == m.classifier {
			continue
		}
		all++
		if m.pairs[i] >= 0 {
			found++
		}
	}
	return found > 0 && 2*found >= all
}

// bySignature lists the layers of each kind and shape, in order. Batch norms
// that follow a convolution are left out.
func bySignature(layers []layer) map[string][]int {
	out := make(map[string][]int)
	for i, l := range layers {
		role := models.RoleWeight
		if l.kind == models.KindBatchNorm {
			role = models.RoleGamma
		}
		if t := l.tensors[role]; t != nil && l.follows < 0 {
			signature := fmt.Sprint(l.kind, t.shape)
			out[signature] = append(out[signature], i)
		}
	}
	return out
}

// isClassifier reports whether the last layer of a file may be its classifier:
// a dense layer, or a 1x1 convolution of the very shape.
func isClassifier(theirs, ours layer) bool {
	a, b := theirs.tensors[models.RoleWeight], ours.tensors[models.RoleWeight]
	return theirs.kind == models.KindDense || theirs.kind == models.KindConv && a != nil && b != nil && sameShape(a.shape, b.shape)
}

// normOf returns the batch norm that follows a layer, or -1.
func normOf(layers []layer, conv int) int {
	return slices.IndexFunc(layers, func(l layer) bool { return l.kind == models.KindBatchNorm && l.follows == conv })
}

// leaveOutClassifier unpairs the classifier where the classes are others.
func (m *matching) leaveOutClassifier(net *models.Network, opts Options) {
	c := m.classifier
	if c < 0 || m.pairs[c] < 0 {
		return
	}
	theirs, ours := m.src.layers[m.pairs[c]].tensors[models.RoleWeight], m.layers[c].tensors[models.RoleWeight]
	switch {
	case theirs == nil || ours == nil:
		return
	case len(theirs.shape) > 0 && theirs.shape[0] != net.Classes:
		m.leftOut = fmt.Sprintf("the classifier, of %d classes in the file and %d in the network", theirs.shape[0], net.Classes)
	case !sameShape(theirs.shape, ours.shape):
		m.leftOut = fmt.Sprintf("the classifier, of shape %v in the file and %v in the network", theirs.shape, ours.shape)
	case opts.Classes != nil && m.src.Classes != nil && !slices.Equal(opts.Classes, m.src.Classes):
		m.leftOut = "the classifier, whose classes have other names in the file"
	default:
		return
	}
	for _, t := range m.src.layers[m.pairs[c]].tensors {
		if t != nil {
			m.taken[t] = true
			m.report.Skipped = append(m.report.Skipped, Tensor{t.name, m.leftOut})
		}
	}
	m.pairs[c] = -1
}

// account writes down what was not taken.
func (m *matching) account() {
	r := m.report
	done := make(map[string]bool)
	for _, l := range r.Loaded {
		done[l.Parameter] = true
		r.Values += len(m.weights[l.Parameter])
	}
	for _, name := range r.Neutral {
		done[name] = true
	}
	for i, l := range m.layers {
		for _, t := range l.tensors {
			if t == nil {
				continue
			}
			r.Total += len(t.data)
			if done[t.name] {
				continue
			}
			reason := "not in the file"
			if i == m.classifier && m.leftOut != "" {
				reason = m.leftOut
			}
			r.Missing = append(r.Missing, Tensor{t.name, reason})
		}
	}
	for _, l := range m.src.layers {
		for _, t := range l.tensors {
			if t != nil && !m.taken[t] {
				r.Skipped = append(r.Skipped, Tensor{t.name, "not in the network"})
			}
		}
	}
	r.Skipped = append(r.Skipped, m.src.others...)
}

// examples names some layers, for an error.
func examples(layers []layer) string {
	if len(layers) == 0 {
		return "no layers with weights that can be read"
	}
	var names []string
	for _, l := range layers {
		if l.name != "" && len(names) < 3 {
			names = append(names, l.name)
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("%d layers without names", len(layers))
	}
	if len(names) < len(layers) {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}

// sameShape compares shapes but for ones at the end: a 1x1 convolution after
// global pooling is a dense layer.
func sameShape(a, b []int) bool { return slices.Equal(withoutOnes(a), withoutOnes(b)) }

func withoutOnes(shape []int) []int {
	for len(shape) > 0 && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
	}
	return shape
}
