// Package ortlib finds ONNX Runtime's shared library. It never loads the
// library, so it builds and works without cgo.
//
// [Find] looks, in this order, at the path given, the path in the environment
// variable ONNXRUNTIME_SHARED_LIBRARY_PATH, the cache folder, which package
// ortinstall fills, and the system's library folders.
package ortlib
