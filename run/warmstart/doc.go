// Package warmstart gives a network the weights of another file: of an ONNX
// model, one of this toolkit's checkpoints, or a safetensors file with the names
// of PyTorch's model libraries. Package run does so for the students whose
// configuration names a file.
//
// [Open] reads a file, and [Source.Match] finds for each layer of a network the
// layer whose weights it takes:
//
//   - By name, where any layer of the file has the name of one of the network's.
//     Names of the layer libraries are translated; see [Source.Match].
//   - Else by position and shape: the first convolution of a shape takes the
//     first of that shape in the file, and so on, where both have equally many.
//     A safetensors file knows no order, so there names must match.
//
// The classifier is left out where the classes differ. A convolution into which
// its batch norm was folded is taken with neutral statistics, so that the network
// computes what the file does. The [Report] says what became of each parameter
// and of each tensor of the file.
//
// For a session of package train, [OpenAll] and [Apply] do both for all students
// whose configuration names a file.
package warmstart
