package infer

import (
	"context"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/onnxmeta"
)

// source is a model's file or bytes.
type source struct {
	path string
	data []byte // used where path is ""
}

func (s source) String() string {
	if s.path == "" {
		return fmt.Sprintf("model of %d bytes", len(s.data))
	}
	return s.path
}

// session is a model loaded by a runtime.
type session interface {
	describe() description
	// run runs n samples, which fill writes. It is safe for concurrent use.
	run(ctx context.Context, n int, fill func(dst []float32) error) (Outputs, error)
	// close frees the session. No call may be under way.
	close() error
}

// description is what a session knows of its model.
type description struct {
	input   tensorInfo
	outputs [roles]tensorInfo // by role; without a name where there is none
	props   map[string]string // metadata
	version string            // of the runtime
}

// tensorInfo describes an input or output.
type tensorInfo struct {
	name string
	dims []int64 // -1 means dynamic
}

// sample returns the number of values of one sample, or 0 where it is not
// fixed.
func (t tensorInfo) sample() int {
	n := 1
	for _, d := range t.dims[min(1, len(t.dims)):] {
		if d < 1 {
			return 0
		}
		n *= int(d)
	}
	return n
}

// The roles of outputs.
const (
	logits = iota
	probabilities
	embedding
	roles
)

// assignOutputs gives outputs their roles by name. A model with none of the
// names has its first output taken for logits.
func assignOutputs(all []tensorInfo) [roles]tensorInfo {
	var out [roles]tensorInfo
	found := false
	for role, name := range []string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding} {
		if i := slices.IndexFunc(all, func(t tensorInfo) bool { return t.name == name }); i >= 0 {
			out[role], found = all[i], true
		}
	}
	if !found && len(all) > 0 {
		out[logits] = all[0]
	}
	return out
}

// results returns the slice of each role.
func (o *Outputs) results() [roles]*[]float32 {
	return [roles]*[]float32{&o.Logits, &o.Probabilities, &o.Embedding}
}
