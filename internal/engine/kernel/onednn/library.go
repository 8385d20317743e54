package onednn

// LibraryVariable is the environment variable that names the library file.
const LibraryVariable = "DML_ONEDNN_LIBRARY"

// install says how to get the library.
const install = "install it with `apt-get install libdnnl2` (Debian 12), `apt-get install libdnnl3` " +
	"(later Debian, Ubuntu 24.04) or `brew install onednn` (macOS)"
