package export

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxcheck"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// ErrNotONNX is wrapped by Check for bytes that are no ONNX model at all.
var ErrNotONNX = errors.New("not an ONNX model")

// Check reports every structural fault of an ONNX model, joined: it names an
// operator set, every tensor has one source and is produced before it is
// used, constants hold as many bytes as their shape says, node names and
// metadata keys are unique, and every output exists. What operators compute is
// not looked at; control flow with nested graphs is checked for the outermost
// only.
func Check(model []byte) error {
	var m onnxpb.ModelProto
	if err := proto.Unmarshal(model, &m); err != nil {
		return fmt.Errorf("%w: %w", ErrNotONNX, err)
	}
	if m.Graph == nil {
		return fmt.Errorf("%w: it holds no graph", ErrNotONNX)
	}
	return onnxcheck.Model(&m)
}
