// Package onnxpb is the ONNX model format as generated protobuf messages.
//
// Its schema is the official one under another package and file name, so that
// it can live in one program with onnx-go, which registers the official names.
package onnxpb

//go:generate ./generate.sh
