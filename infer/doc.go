// Package infer runs students, and ensembles of them, on ONNX Runtime.
//
// [Open] opens one ONNX file, or several as an ensemble. Images are prepared as the
// files' metadata says, by the code that prepared them for training:
//
//	m, err := infer.Open(infer.Options{}, "student.onnx")
//	if err != nil { ... }
//	defer m.Close()
//	predictions, err := m.Predict(ctx, infer.FromFile("cat.jpg"))
//
// Third-party ONNX files open too: a [Preset] says how to prepare images for them,
// or they take raw tensors by Run. A network whose batch is fixed takes any number
// of images. One that takes 8-bit pixels and normalises them itself is given them as
// they are.
//
// An [Ensemble] says how several networks answer together: by the mean of their
// probabilities or logits, weighted or not, and their embeddings side by side or
// averaged. [Joining] joins concurrent calls into batches. [Model.Replace] puts other
// networks in the place of those that work, while calls run. [Model.Stats] tells what
// a model has done.
//
// An [Engine] other than ONNX Runtime is infer/gorgonia's. infer/infertest gives
// stand-ins for the tests of programs that use this package.
//
// A Model is safe for concurrent use. It may be closed at any time: calls under way
// finish, later ones get [ErrClosed]. A cancelled context stops a call, within the
// network too, with [ErrCancelled] and the context's cause. Images that cannot be
// read fail alone: see [ImagesError].
//
// ONNX Runtime's library is loaded when the first model opens. It is looked
// for at Options.Library, at the path in ONNXRUNTIME_SHARED_LIBRARY_PATH, in
// the cache folder that `dml runtime install` fills, and in the system's
// library folders. Without it, or in a program built without cgo, opening a
// model gives [ErrNoRuntime]. The library's environment is one for the whole
// process: a package that already made it shares it, and then it is not
// destroyed here, nor may it be elsewhere before the models are closed; otherwise
// it goes when the last model is closed. ONNX
// Runtime's telemetry is switched off when the environment is made here, unless
// ORT_DISABLE_TELEMETRY is set, which then decides.
//
// Model files are trusted input: ONNX Runtime, which is C++, executes what they
// describe, may load further files that they name, and takes as much memory as
// they ask for. Only a quick check that a file is a whole ONNX model, and of the size
// of what goes in, comes before it. Do not open files from strangers in a process
// that matters. Images are untrusted input: they are decoded by Go's own decoders,
// and Options.MaxPixels and Options.Decodes bound the memory for their pixels.
package infer
