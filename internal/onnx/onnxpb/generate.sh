#!/bin/sh
# Generates dml_onnx.pb.go from dml_onnx.proto.
#
#   generate.sh          writes the result here
#   generate.sh --check  fails when the committed result is not what would be
#                        written (compiler version lines aside); without
#                        protoc it says so and checks nothing
#
# Needs protoc (Debian: apt-get install protobuf-compiler). protoc-gen-go is
# built from the version of google.golang.org/protobuf that go.mod asks for.
set -eu
cd "$(dirname "$0")"

if ! command -v protoc >/dev/null 2>&1; then
	echo "onnxpb: protoc is not installed (apt-get install protobuf-compiler)" >&2
	if [ "${1:-}" = "--check" ]; then
		echo "onnxpb: SKIPPED: dml_onnx.pb.go was not checked against dml_onnx.proto" >&2
		exit 0
	fi
	exit 1
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go build -o "$tmp/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
protoc --plugin=protoc-gen-go="$tmp/protoc-gen-go" --proto_path=. \
	--go_out="$tmp" --go_opt=paths=source_relative dml_onnx.proto

if [ "${1:-}" != "--check" ]; then
	mv "$tmp/dml_onnx.pb.go" dml_onnx.pb.go
	exit 0
fi
grep -v '^// *	*protoc' dml_onnx.pb.go >"$tmp/have"
grep -v '^// *	*protoc' "$tmp/dml_onnx.pb.go" >"$tmp/want"
if ! diff -u "$tmp/have" "$tmp/want" >"$tmp/diff"; then
	head -40 "$tmp/diff" >&2
	echo "onnxpb: dml_onnx.pb.go does not follow from dml_onnx.proto: run internal/onnx/onnxpb/generate.sh" >&2
	exit 1
fi
echo "onnxpb: dml_onnx.pb.go is current"
