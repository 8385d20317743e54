// Package models describes networks as data: a small directed acyclic graph of
// named layers of a closed set of kinds.
//
// A [Network] is built once, by [Build] for the architectures that ship with
// the toolkit, by a [Builder] or from a JSON file ([Find]) for your own, and is
// lowered twice: to a Gorgonia graph to train it and to an ONNX graph to serve
// it. It serialises to JSON and is kept in every run and checkpoint, so that
// exporting never needs the Go code that made it.
//
// Parameters carry PyTorch's names (conv1.weight, bn1.running_mean, ...), in
// PyTorch's layouts: convolutions [out, in/groups, kh, kw], dense layers
// [out, in].
package models
