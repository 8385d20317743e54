// Package run takes students across from training to ONNX Runtime: it
// exports trained states, each file verified against the training code's
// outputs before it exists, and evaluates exported students. The command and
// the demonstration share it; only they know both sides.
package run
