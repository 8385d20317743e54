// Package ortlib finds ONNX Runtime's shared library and installs it into a
// cache folder of the user. It never loads the library, so it builds and works
// without cgo.
//
// [Find] looks, in this order, at the path given, the path in the environment
// variable ONNXRUNTIME_SHARED_LIBRARY_PATH, the cache folder, and the system's
// library folders. [Install] fetches the library by npm, else by pip, else as
// the official release archive, and accepts only bytes whose SHA-256 is known.
package ortlib
