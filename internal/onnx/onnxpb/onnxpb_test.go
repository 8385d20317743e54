package onnxpb_test

import (
	"testing"

	_ "github.com/owulveryck/onnx-go" // registers the official schema
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// TestLivesWithOnnxGo runs at all only if both schemas can be registered in
// one program; protobuf panics at start otherwise.
func TestLivesWithOnnxGo(t *testing.T) {
	for _, name := range []string{"dml.onnx.ModelProto", "onnx.ModelProto"} {
		if _, err := protoregistry.GlobalTypes.FindMessageByURL(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWireFormat pins field numbers of the official schema, which are all that
// a file holds.
func TestWireFormat(t *testing.T) {
	m := &onnxpb.ModelProto{IrVersion: proto.Int64(8), Graph: &onnxpb.GraphProto{Name: proto.String("g")}}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	// ir_version = 1, graph = 7, its name = 2.
	if want := "\x08\x08\x3a\x03\x12\x01g"; err != nil || string(data) != want {
		t.Errorf("%q, %v, want %q", data, err, want)
	}
}
