// Package dml is the root of a toolkit for deep mutual learning: a cohort of
// student networks learns together, each from the labels and from the
// posteriors of its peers, with no teacher (Zhang, Xiang, Hospedales and Lu,
// CVPR 2018). Students are trained on Gorgonia, exported to ONNX and run by
// ONNX Runtime.
//
// Most users want the command, dml; see README.md. The packages to import are
//
//   - models: networks as data
//   - dataset and its readers: labelled images, splits, augmentation, batches
//   - train: the cohort and its training, of values
//   - run: a training as a configuration file and a folder
//   - export: network and weights to an ONNX file
//   - infer: one model or a cohort in ONNX Runtime, for services
//
// A program that imports infer alone compiles neither Gorgonia nor any other
// part of training. ARCHITECTURE.md says how the packages fit together.
package dml
