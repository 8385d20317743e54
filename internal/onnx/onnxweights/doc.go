// Package onnxweights reads the weights of ONNX models: the constants of their
// convolutions, dense layers and batch normalisations, in the order of the
// graph, which the specification wants to be topological.
package onnxweights
