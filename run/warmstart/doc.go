// Package warmstart gives a network the weights of another file: of an ONNX
// model, one of this toolkit's checkpoints, or a safetensors file with the names
// of PyTorch's model libraries. Package run does so for the students whose
// configuration names a file.
//
// [Open] reads a file, and [Source.Match] finds for each layer of a network the
// layer whose weights it takes:
//
//   - By name. Names of the layer libraries are translated.
//   - By structure: by the shapes of a layer and of those before and behind it. A
//     safetensors file has none, so there names must match.
//
// The better way counts, which the outputs decide where the file is an ONNX model.
// The classifier is left out where the classes differ. Batch norms that a file has
// folded into other layers get statistics of training samples, and compute what
// the file does in evaluation and, nearly, in training. The [Report] says what
// became of each parameter and of each tensor of the file.
//
// For a session of package train, [OpenAll] and [Apply] do both for all students
// whose configuration names a file.
package warmstart
