package warmstart

import (
	"errors"
	"fmt"
	"math"

	"github.com/deepmutual/dml/models"
)

// maxFaults bounds how many tensors an error names.
const maxFaults = 8

// load copies the values of all pairs.
func (m *matching) load() error {
	var faults []error
	for i, at := range m.pairs {
		if at < 0 {
			continue
		}
		for role, own := range m.layers[i].tensors {
			theirs := m.src.layers[at].tensors[role]
			if own == nil || theirs == nil {
				continue
			}
			if err := m.copy(own, theirs, models.Role(role)); err != nil {
				faults = append(faults, err)
			}
		}
	}
	if len(faults) > maxFaults {
		faults = append(faults[:maxFaults], fmt.Errorf("and %d more", len(faults)-maxFaults))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for i, l := range m.layers {
		if l.kind != models.KindBatchNorm {
			continue
		}
		if err := m.settleNorm(i); err != nil {
			return err
		}
	}
	return nil
}

func (m *matching) copy(own, theirs *tensor, role models.Role) error {
	if !sameShape(own.shape, theirs.shape) {
		return fmt.Errorf("%w: %q is %v in the file, %q is %v in the network", ErrShape, theirs.name, theirs.shape, own.name, own.shape)
	}
	if err := theirs.check(role); err != nil {
		return err
	}
	m.take(own, theirs)
	return nil
}

// check reports the first value that no parameter of that role may have. Values
// that are absurdly large count, too: what is computed from them would overflow.
func (t *tensor) check(role models.Role) error {
	const most = 1e30
	for i, v := range t.data {
		if !(math.Abs(float64(v)) <= most) || role == models.RoleRunningVar && v < 0 {
			return fmt.Errorf("%w: %q holds %v at %d", ErrValues, t.name, v, i)
		}
	}
	return nil
}

// take writes down that a parameter has a tensor's values, after copying them.
func (m *matching) take(own, theirs *tensor) {
	copy(own.data, theirs.data)
	m.taken[theirs] = true
	m.report.Loaded = append(m.report.Loaded, Loaded{own.name, theirs.name, own.shape})
}

// settleNorm makes a batch norm of the network, with the convolution before it,
// compute what the file's do where the two are built differently.
func (m *matching) settleNorm(i int) error {
	norm := m.layers[i]
	var bias *tensor // of the file's convolution, for which the network's has no place
	if norm.follows >= 0 && m.pairs[norm.follows] >= 0 && m.layers[norm.follows].tensors[models.RoleBias] == nil {
		bias = m.src.layers[m.pairs[norm.follows]].tensors[models.RoleBias]
	}
	if bias != nil {
		if err := bias.check(models.RoleBias); err != nil {
			return err
		}
	}
	if m.pairs[i] < 0 {
		// Without a graph, a norm that is not there may have another name.
		folded := bias != nil || len(m.src.graph) > 0 && norm.follows >= 0 && m.pairs[norm.follows] >= 0
		if folded && normOf(m.src.layers, m.pairs[norm.follows]) < 0 {
			m.unfold(norm, bias)
		}
		return nil
	}
	theirs := m.src.layers[m.pairs[i]]
	if theirs.hasEpsilon && theirs.epsilon != norm.epsilon {
		if !(theirs.epsilon > 0 && theirs.epsilon <= 1) {
			return fmt.Errorf("%w: the batch norm of %q has the epsilon %v", ErrValues, theirs.name, theirs.epsilon)
		}
		changeEpsilon(norm, theirs.epsilon)
	}
	if bias != nil { // (x + b - mean) is x - (mean - b)
		mean := norm.tensors[models.RoleRunningMean]
		for c := range mean.data {
			mean.data[c] -= bias.data[c]
		}
		m.taken[bias] = true
	}
	return nil
}

// unfold gives neutral statistics to a batch norm that the file has folded into
// the layer before it: gamma 1, mean 0 and a variance of 1 less epsilon leave that
// layer's output as it is, and beta is its bias, or zero where the network has a
// place for that itself.
func (m *matching) unfold(norm layer, bias *tensor) {
	beta := norm.tensors[models.RoleBeta]
	if bias != nil && !sameShape(beta.shape, bias.shape) {
		return
	}
	for role, value := range map[models.Role]float32{models.RoleGamma: 1, models.RoleRunningMean: 0, models.RoleRunningVar: 1 - norm.epsilon} {
		t := norm.tensors[role]
		for c := range t.data {
			t.data[c] = value
		}
	}
	for _, role := range []models.Role{models.RoleGamma, models.RoleRunningMean, models.RoleRunningVar} {
		m.report.Neutral = append(m.report.Neutral, norm.tensors[role].name)
	}
	if bias != nil {
		m.take(beta, bias)
	} else {
		m.report.Neutral = append(m.report.Neutral, beta.name) // as it is seeded
	}
}

// changeEpsilon makes a batch norm compute with its own epsilon what it did
// with another: the variance takes up the difference, and where it would be
// negative, gamma what is left.
func changeEpsilon(norm layer, their float32) {
	gamma, variance := norm.tensors[models.RoleGamma], norm.tensors[models.RoleRunningVar]
	for c, v := range variance.data {
		before := float64(v) + float64(their)
		after := math.Max(0, before-float64(norm.epsilon))
		variance.data[c] = float32(after)
		gamma.data[c] = float32(float64(gamma.data[c]) * math.Sqrt((after+float64(norm.epsilon))/before))
	}
}
