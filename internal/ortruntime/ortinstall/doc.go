// Package ortinstall installs ONNX Runtime's shared library into the folder
// where package ortlib finds it: by npm, else by pip, else from the official
// release archive. It accepts only bytes whose SHA-256 is known. It is a
// package of its own so that programs that only look for the library, to serve
// students, compile no HTTP client.
package ortinstall
