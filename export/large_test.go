package export

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// TestTooLarge: a model beyond protobuf's limit is refused before it is written.
// Its weights share their memory, so that the test takes little.
func TestTooLarge(t *testing.T) {
	const side = 4096
	raw := make([]byte, 4*side*side)
	g := &onnxpb.GraphProto{Name: proto.String("large"), Output: []*onnxpb.ValueInfoProto{{Name: proto.String("w0")}}}
	for i := range maxBytes/len(raw) + 1 {
		g.Initializer = append(g.Initializer, &onnxpb.TensorProto{Name: proto.String(fmt.Sprintf("w%d", i)),
			Dims: []int64{side, side}, DataType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), RawData: raw})
	}
	if _, err := encode(g, onnxmeta.Metadata{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
}
