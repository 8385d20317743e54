package warmstart

import "github.com/deepmutual/dml/train"

// parseCheckpoint reads a student's checkpoint; the error wraps
// checkpoint.ErrFormat for other files.
func parseCheckpoint(data []byte) (*Source, error) {
	st, err := train.ParseState(data)
	if err != nil {
		return nil, err
	}
	src := &Source{Format: Checkpoint, Classes: st.Classes}
	if src.layers, err = layersOf(st.Network, st.Weights); err != nil {
		return nil, err
	}
	src.graph = graphOf(st.Network, src.layers)
	return src, nil
}
