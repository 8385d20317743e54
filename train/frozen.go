package train

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
)

// FrozenTeacher is a trained student that teaches others and learns no more. It
// computes with its running statistics, as in evaluation.
type FrozenTeacher struct {
	info   TeacherInfo
	worker *worker
	engine kernel.Engine
	net    *lower.Network
	run    func() error
}

// NewFrozenTeacher makes a teacher of a trained student. The batch of the
// options is the number of samples that it looks at at once.
func NewFrozenTeacher(st State, opts EvaluateOptions) (*FrozenTeacher, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	fingerprint, err := fingerprint(st)
	if err != nil {
		return nil, err
	}
	t := &FrozenTeacher{worker: newWorker(), info: TeacherInfo{
		Name:        fmt.Sprintf("%q (%s)", st.Name, st.Network.Name),
		Fingerprint: fingerprint,
		Input:       dataset.Preparation{Shape: inputShape(st.Network.Input), Norm: st.Norm},
		Classes:     st.Network.Classes, ClassNames: st.Classes,
	}}
	err = t.worker.do(func() error {
		var err error
		if t.engine, err = opts.Backend.kernels.NewEngine(kernel.EngineOptions{Threads: opts.Threads}); err != nil {
			return err
		}
		if t.net, err = lower.Compile(st.Network, t.engine, lower.Options{Batch: opts.Batch}); err != nil {
			return err
		}
		return t.net.SetWeights(st.Weights)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("teacher %s: %w", t.info.Name, err), t.Close())
	}
	t.run = t.net.Forward
	return t, nil
}

// fingerprint is a digest of the network and its weights.
func fingerprint(st State) (string, error) {
	description, err := st.Network.JSON()
	if err != nil {
		return "", err
	}
	params, err := st.Network.Params()
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	digest.Write(description)
	for _, p := range params {
		bits := make([]byte, 0, 4*p.Size())
		for _, v := range st.Weights[p.Name] {
			bits = binary.LittleEndian.AppendUint32(bits, math.Float32bits(v))
		}
		digest.Write(bits)
	}
	return fmt.Sprintf("sha256:%x", digest.Sum(nil)), nil
}

// Info implements Teacher.
func (t *FrozenTeacher) Info() TeacherInfo { return t.info }

// Logits implements Teacher.
func (t *FrozenTeacher) Logits(dst, images []float32) error {
	size, classes := t.info.Input.Shape.Size(), t.info.Classes
	if len(images)%size != 0 || len(dst)/classes != len(images)/size || len(dst)%classes != 0 {
		return fmt.Errorf("%d values of images and %d of logits, want %d and %d a sample", len(images), len(dst), size, classes)
	}
	for len(images) > 0 {
		n := copy(t.net.Input(), images)
		clear(t.net.Input()[n:]) // samples do not affect each other
		if err := t.worker.do(t.run); err != nil {
			return err
		}
		images = images[n:]
		dst = dst[copy(dst, t.net.Logits()):]
	}
	return nil
}

// Close frees the teacher.
func (t *FrozenTeacher) Close() error {
	var err error
	if t.engine != nil {
		err = t.worker.do(t.engine.Close)
	}
	t.worker.close()
	return err
}

var _ Teacher = (*FrozenTeacher)(nil)
