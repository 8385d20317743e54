package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
)

// FuzzParseState puts headers and names of tensors into files whose checksums
// are right: ParseState returns a state that can be written again, or an error.
func FuzzParseState(f *testing.F) {
	b := models.NewBuilder("tiny", models.Shape{C: 3, H: 1, W: 1}, 2)
	x := b.Flatten("flat", b.Input())
	net, err := b.Build(b.Dense("fc", x, models.Dense{Out: 2, Bias: true}), x)
	if err != nil {
		f.Fatal(err)
	}
	weights, err := net.Init(1)
	if err != nil {
		f.Fatal(err)
	}
	good, err := State{Name: "s", Network: net, Weights: weights, Slots: Slots{"m": weights.Clone()}, Classes: []string{"a", "b"},
		Norm: dataset.Norm{Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}}}.Checkpoint()
	if err != nil {
		f.Fatal(err)
	}
	header, err := json.Marshal(good.Header)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(header, "fc.weight", "optimizer/m/fc.weight")
	f.Add(header, "fc.weight", "optimizer/u/fc.weight")
	f.Add(header, "fc.weights", "m/fc.weight")
	f.Add([]byte(`{"version":1,"network":{}}`), "", "optimizer//")
	f.Fuzz(func(t *testing.T, header []byte, first, third string) {
		file := &checkpoint.File{Kind: checkpointKind, Header: json.RawMessage(header), Tensors: append([]checkpoint.Tensor(nil), good.Tensors...)}
		file.Tensors[0].Name, file.Tensors[2].Name = first, third
		path := filepath.Join(t.TempDir(), "a.ckpt")
		if err := checkpoint.Write(path, file); err != nil {
			return // not JSON
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		st, err := ParseState(data)
		if err != nil {
			return
		}
		if _, err := st.Checkpoint(); err != nil {
			t.Error(err)
		}
	})
}
