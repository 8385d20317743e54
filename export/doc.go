// Package export writes networks as ONNX models.
//
// [Marshal] turns a description and its weights into the bytes of a model with
// one input and three outputs:
//
//	input          float32 [batch, channels, height, width], pixels normalised as
//	               (x/255 - mean) / std
//	logits         float32 [batch, classes]
//	probabilities  float32 [batch, classes], the softmax of the logits
//	embedding      float32 [batch, features], as the network gives it
//
// [Options] choose among the outputs, fix the batch, which is dynamic otherwise,
// make the input uint8 pixels that the graph normalises, and store weights as
// float16. [MarshalCohort] puts several networks into one model.
//
// A model uses the default operator set at version 17 and IR version 8, names its
// nodes and tensors after the layers, and tells in its metadata how to prepare
// images for it. Equal arguments give equal bytes.
//
// Batch norms are folded into the convolutions before them. Option A shortcuts
// become 1x1 convolutions with constant 0/1 weights, which every runtime reads.
// Dropout leaves no trace: it acts in training alone.
//
// The package runs nothing: package export/verify compares a model with
// reference outputs on ONNX Runtime, package export/inspect tells what any ONNX
// file holds.
package export
