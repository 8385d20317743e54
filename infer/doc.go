// Package infer runs students, and cohorts of them, on ONNX Runtime.
//
// [Open] opens one exported student, [OpenCohort] several as an ensemble; both
// are a [Predictor]. Images are prepared as the model's metadata says, by the
// code that prepared them for training:
//
//	m, err := infer.Open("student.onnx", infer.Options{})
//	if err != nil { ... }
//	defer m.Close()
//	predictions, err := m.Predict(ctx, infer.FromFile("cat.jpg"))
//
// ONNX files of other origin open too. They take raw tensors by Run; how to
// prepare images for them is not known.
//
// A Predictor is safe for concurrent use. It may be closed at any time: calls
// under way finish, later ones get [ErrClosed]. A cancelled context stops a
// call, within the network too.
//
// ONNX Runtime's library is loaded when the first model opens. It is looked
// for at Options.Library, at the path in ONNXRUNTIME_SHARED_LIBRARY_PATH, in
// the cache folder that `dml runtime install` fills, and in the system's
// library folders. Without it, or in a program built without cgo, opening a
// model gives [ErrNoRuntime]. The library's environment is one for the whole
// process: a package that already made it shares it, and then it is not
// destroyed here; otherwise it goes when the last model is closed. ONNX
// Runtime's telemetry is switched off when the environment is made here, unless
// ORT_DISABLE_TELEMETRY is set, which then decides.
//
// Model files are trusted input: ONNX Runtime executes what they describe.
package infer
