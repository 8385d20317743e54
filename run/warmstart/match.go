package warmstart

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// Options configures Match.
type Options struct {
	// Classes are the names of the network's classes. Where the file has names,
	// too, and they differ, its classifier is left out.
	Classes []string
	// Partial takes a file that fits less than half of the network, or of which
	// nothing says that its weights are in their places.
	Partial bool
	// Samples are training samples as the network takes them, [n, C, H, W]. From
	// them batch norms that the file has folded get their statistics; with none,
	// they get neutral ones, and training begins with another function.
	Samples []float32
	// Evaluate says how the network is run, to gather statistics and to compare.
	Evaluate train.EvaluateOptions
	// Infer says how ONNX Runtime runs an ONNX file.
	Infer infer.Options
}

// Match returns a copy of the network's seeded weights with all that the file
// has in their place, and what became of each. Layers are matched in two ways. The
// way counts that makes the network compute what an ONNX file does; where neither
// or both do, the one that gives more values, or else the first:
//
//   - By name. Tensors are called LAYER.weight, LAYER.bias and so on as in
//     PyTorch, or LAYER/kernel, LAYER/gamma and so on as in Keras; a folded
//     convolution that PyTorch exported without a name has that of its node's
//     module. The layers' names are this toolkit's, those of
//     tf.keras.applications.MobileNet, or those of timm's mobilenetv1,
//     whichever are most; wrappers such as "module." may stand before them. The
//     classifier may have any of the names that libraries give it.
//   - By structure, in files that have a graph: by the shapes of the layers and of
//     those that lead to them and on. It tells branches of equal shapes apart; a
//     layer that it cannot place keeps its seeded weights. A batch norm goes with
//     the layer before it.
//
// The error wraps ErrShape, naming every tensor whose shape differs from that
// of its parameter, ErrValues, ErrNothingMatched, ErrPartial, or, where names do
// not match and outputs differ, ErrOutputs. The classifier may differ: it is left
// out then.
func (s *Source) Match(net *models.Network, seeded models.Weights, opts Options) (models.Weights, *Report, error) {
	if err := net.CheckWeights(seeded); err != nil {
		return nil, nil, err
	}
	m, err := s.best(net, seeded, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := m.settle(opts); err != nil {
		return nil, nil, fmt.Errorf("%s for %s: %w", s.Path, net.Name, err)
	}
	return m.weights, m.report, nil
}

// best loads the file in both ways and returns the better one.
func (s *Source) best(net *models.Network, seeded models.Weights, opts Options) (*matching, error) {
	file := comparison{src: s, opts: opts}
	var best *matching
	var tried [][]int
	var fault error
	for _, way := range []func(*matching) bool{(*matching).byName, (*matching).byStructure} {
		m, err := newMatching(s, net, seeded)
		if err != nil {
			return nil, err
		}
		if !way(m) || slices.ContainsFunc(tried, func(pairs []int) bool { return slices.Equal(pairs, m.pairs) }) {
			continue
		}
		tried = append(tried, slices.Clone(m.pairs))
		m.leaveOutClassifier(opts)
		if err := m.load(); err != nil {
			fault = cmp.Or(fault, fmt.Errorf("%s for %s: %w", s.Path, net.Name, err))
			continue
		}
		m.account()
		if err := file.compare(m); err != nil {
			return nil, fmt.Errorf("%s for %s: comparing outputs: %w", s.Path, net.Name, err)
		}
		if best == nil || m.betterThan(best) {
			best = m
		}
	}
	switch {
	case fault != nil && (best == nil || 2*best.fitted < best.fitting):
		return nil, fault
	case best == nil:
		layers, err := layersOf(net, seeded)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w: the file has %s, the network %s has %s", s.Path, ErrNothingMatched,
			examples(s.layers), net.Name, examples(layers))
	}
	return best, nil
}

// betterThan compares two ways of matching.
func (m *matching) betterThan(other *matching) bool {
	if a, b := m.report.Compared.agree(), other.report.Compared.agree(); a != b {
		return a
	}
	return m.fitted > other.fitted
}

// settle refuses what may not be taken, and gathers the statistics of batch norms
// that the file has folded.
func (m *matching) settle(opts Options) error {
	r := m.report
	if 2*m.fitted < m.fitting && !opts.Partial {
		return fmt.Errorf("%w: %d of %d values besides the classifier's, matched by %s", ErrPartial, m.fitted, m.fitting, r.Matching)
	}
	if r.Compared != nil && !r.Compared.agree() {
		difference := fmt.Sprintf("its %s differ by %.2g of their size", r.Compared.Output, r.Compared.Distance)
		if r.Matching != "names" && !opts.Partial {
			return fmt.Errorf("%w: %s, and no names say which weights are which", ErrOutputs, difference)
		}
		r.Warnings = append(r.Warnings, "the network computes something else than the file: "+difference+
			"; its padding, strides or activations may be others")
	}
	if len(r.Neutral) > 0 {
		return m.calibrate(opts)
	}
	return nil
}

// matching is one network's match with a file.
type matching struct {
	src        *Source
	net        *models.Network
	layers     []layer // of the network; the tensors share the values of weights
	graph      graph   // of the layers
	classifier int     // index of the layer of the logits, or -1
	pairs      []int   // layer of the file for each of the network's, or -1
	theirHead  int     // layer of the file that was paired with the classifier, or -1
	weights    models.Weights
	taken      map[*tensor]bool // of the file
	leftOut    string           // why the classifier is
	report     *Report
	// fitted counts the values besides the classifier's that the file gives, of
	// fitting in all.
	fitted, fitting int
}

func newMatching(s *Source, net *models.Network, seeded models.Weights) (*matching, error) {
	m := &matching{src: s, net: net, weights: seeded.Clone(), taken: make(map[*tensor]bool), theirHead: -1,
		report: &Report{File: s.Path, Format: s.Format, SHA256: s.SHA256}}
	var err error
	if m.layers, err = layersOf(net, m.weights); err != nil {
		return nil, err
	}
	m.graph = graphOf(net, m.layers)
	m.classifier = classifierOf(net, m.layers)
	return m, nil
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

// normOf returns the batch norm that follows a layer, or -1.
func normOf(layers []layer, conv int) int {
	return slices.IndexFunc(layers, func(l layer) bool { return l.kind == models.KindBatchNorm && l.follows == conv })
}

// leaveOutClassifier unpairs the classifier where the classes are others.
func (m *matching) leaveOutClassifier(opts Options) {
	c := m.classifier
	if c < 0 || m.pairs[c] < 0 {
		return
	}
	m.theirHead = m.pairs[c]
	theirs, ours := m.src.layers[m.pairs[c]].tensors[models.RoleWeight], m.layers[c].tensors[models.RoleWeight]
	switch {
	case theirs == nil || ours == nil:
		return
	case len(theirs.shape) > 0 && theirs.shape[0] != m.net.Classes:
		m.leftOut = fmt.Sprintf("the classifier, of %d classes in the file and %d in the network", theirs.shape[0], m.net.Classes)
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
			if i != m.classifier {
				m.fitting += len(t.data)
				if done[t.name] {
					m.fitted += len(t.data)
				}
			}
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
