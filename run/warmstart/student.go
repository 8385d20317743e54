package warmstart

import "github.com/deepmutual/dml/train"

// parseCheckpoint reads a student's checkpoint; the error wraps
// checkpoint.ErrFormat for other files.
func parseCheckpoint(data []byte) (*Source, error) {
	st, err := train.ParseState(data)
	if err != nil {
		return nil, err
	}
	src := &Source{Format: Checkpoint, Classes: st.Classes, ordered: true}
	src.layers, err = layersOf(st.Network, st.Weights)
	return src, err
}
