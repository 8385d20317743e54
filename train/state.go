package train

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
)

// checkpointKind marks files that hold a student.
const checkpointKind = "student"

// Progress says where in a run a state was taken.
type Progress struct {
	Epoch int `json:"epoch"` // finished epochs
	Step  int `json:"step"`  // finished steps of the epoch under way
	// Sums over those steps, so that a resumed epoch reports as if whole.
	Sums Sums `json:"sums,omitzero"`
}

// Sums are what an epoch's training means are made of: counts, and the losses of
// the steps added up, in nats.
type Sums struct {
	Steps        int     `json:"steps"`
	Samples      int     `json:"samples"`
	Correct      int     `json:"correct"`
	CrossEntropy float64 `json:"cross_entropy"`
	Mimicry      float64 `json:"mimicry"`
	Loss         float64 `json:"loss"`
}

// State is a student as kept in a checkpoint: all that resuming, evaluating and
// exporting it needs. There is no state of a random generator: the order of the
// samples, their augmentation and dropout are pure functions of the seeds, which
// are part of Run, and of Progress; so are the learning rate and what an
// optimizer has to know beside its slots.
type State struct {
	Name     string
	Mode     Mode
	Network  *models.Network
	Weights  models.Weights
	Slots    Slots
	Dataset  string
	Classes  []string
	Norm     dataset.Norm
	Progress Progress
	// Run identifies the run: its settings and data, as a session writes
	// them. Restore compares it.
	Run json.RawMessage
	// Machine is how it was computed. Restore compares that, too.
	Machine Machine
	// BestEpoch is the epoch (from 1) of the best validation scores so far, by
	// Scores.Better; 0 before the first has been finished. Best and Last are that
	// epoch's scores and the newest.
	BestEpoch  int
	Best, Last Scores
	Ensemble   Scores // of the newest epoch, of all students
}

// IsBest reports whether the state is that of the best epoch so far.
func (s State) IsBest() bool {
	return s.BestEpoch > 0 && s.Progress.Epoch == s.BestEpoch && s.Progress.Step == 0
}

// stateVersion counts the changes of stateHeader and of the tensors' names that
// programs of before would misread.
const stateVersion = 1

// stateHeader is the JSON of a checkpoint.
type stateHeader struct {
	Version   int             `json:"version"`
	Student   string          `json:"student"`
	Mode      Mode            `json:"mode"`
	Network   json.RawMessage `json:"network"`
	Slots     []string        `json:"slots"` // of the optimizer
	Dataset   string          `json:"dataset"`
	Classes   []string        `json:"classes"`
	Mean      []float32       `json:"mean"`
	Std       []float32       `json:"std"`
	Progress  Progress        `json:"progress"`
	Run       json.RawMessage `json:"run,omitempty"`
	Machine   Machine         `json:"machine"`
	BestEpoch int             `json:"best_epoch"`
	Best      Scores          `json:"best"`
	Last      Scores          `json:"last"`
	Ensemble  Scores          `json:"ensemble"`
}

// slotPrefix starts the names of the optimizer's tensors, which come after the
// parameters: "optimizer/SLOT/PARAMETER".
const slotPrefix = "optimizer/"

// Checkpoint returns the state as the content of a checkpoint file.
func (s State) Checkpoint() (*checkpoint.File, error) {
	network, err := s.Network.JSON()
	if err != nil {
		return nil, err
	}
	params, err := s.Network.Params()
	if err != nil {
		return nil, err
	}
	f := &checkpoint.File{Kind: checkpointKind, Header: stateHeader{
		Version: stateVersion, Student: s.Name, Mode: s.Mode, Network: network, Slots: slices.Sorted(maps.Keys(s.Slots)), Dataset: s.Dataset, Classes: s.Classes,
		Mean: s.Norm.Mean, Std: s.Norm.Std, Progress: s.Progress, Run: s.Run, Machine: s.Machine, BestEpoch: s.BestEpoch, Best: s.Best, Last: s.Last, Ensemble: s.Ensemble,
	}}
	for _, p := range params {
		f.Tensors = append(f.Tensors, checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: s.Weights[p.Name]})
	}
	for _, slot := range slices.Sorted(maps.Keys(s.Slots)) {
		for _, p := range params {
			if v, ok := s.Slots[slot][p.Name]; ok {
				f.Tensors = append(f.Tensors, checkpoint.Tensor{Name: slotPrefix + slot + "/" + p.Name, Shape: p.Shape, Data: v})
			}
		}
	}
	return f, nil
}

// ParseState reads the bytes of a checkpoint file; see checkpoint.Decode for what
// its errors wrap.
func ParseState(data []byte) (State, error) {
	var h stateHeader
	tensors, err := checkpoint.Decode(data, checkpointKind, &h)
	if err != nil {
		return State{}, err
	}
	damaged := func(err error) (State, error) {
		return State{}, fmt.Errorf("%w: %w", checkpoint.ErrDamaged, err)
	}
	if h.Version != stateVersion {
		return State{}, fmt.Errorf("%w: the state has version %d; this program reads %d", checkpoint.ErrVersion, h.Version, stateVersion)
	}
	net, err := models.Parse(h.Network)
	if err != nil {
		return damaged(err)
	}
	s := State{Name: h.Student, Mode: h.Mode, Network: net, Weights: make(models.Weights), Slots: make(Slots),
		Dataset: h.Dataset, Classes: h.Classes, Norm: dataset.Norm{Mean: h.Mean, Std: h.Std},
		Progress: h.Progress, Run: h.Run, Machine: h.Machine, BestEpoch: h.BestEpoch, Best: h.Best, Last: h.Last, Ensemble: h.Ensemble}
	params, err := net.Params()
	if err != nil {
		return damaged(err)
	}
	if len(tensors) < len(params) {
		return damaged(fmt.Errorf("%d tensors for %d parameters", len(tensors), len(params)))
	}
	for _, t := range tensors[:len(params)] {
		s.Weights[t.Name] = t.Data
	}
	if err := net.CheckWeights(s.Weights); err != nil {
		return damaged(err)
	}
	for _, t := range tensors[len(params):] {
		name, ok := strings.CutPrefix(t.Name, slotPrefix)
		slot, name, found := strings.Cut(name, "/")
		if !ok || !found || !slices.Contains(h.Slots, slot) || len(t.Data) != len(s.Weights[name]) {
			return damaged(fmt.Errorf("tensor %q of %d values is neither a parameter nor the optimizer's", t.Name, len(t.Data)))
		}
		s.Slots.set(slot, name, t.Data)
	}
	if len(s.Classes) != net.Classes {
		return damaged(fmt.Errorf("%d class names for %d classes", len(s.Classes), net.Classes))
	}
	if err := s.Norm.Validate(net.Input.C); err != nil {
		return damaged(err)
	}
	return s, nil
}
