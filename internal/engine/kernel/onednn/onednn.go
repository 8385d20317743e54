//go:build cgo && (linux || darwin)

package onednn

// #cgo CFLAGS: -std=gnu11 -O3 -Wno-psabi
// #cgo LDFLAGS: -lm
// #cgo linux LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// candidates lists the names tried when the environment names no library.
func candidates() []string {
	if runtime.GOOS == "darwin" {
		return []string{
			"libdnnl.3.dylib", "/opt/homebrew/lib/libdnnl.3.dylib",
			"libdnnl.2.dylib", "/opt/homebrew/lib/libdnnl.2.dylib",
		}
	}
	return []string{"libdnnl.so.3", "libdnnl.so.2"}
}

// Open loads oneDNN: the file that the environment variable
// DML_ONEDNN_LIBRARY names, else version 3, else version 2 from where the
// system looks for libraries. An error wraps [kernel.ErrUnavailable] and says
// what to install.
func Open() (kernel.Backend, error) {
	if path := os.Getenv(LibraryVariable); path != "" {
		b, err := loadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w: the library that %s names, %s, cannot be used: %w; %s, or unset the variable",
				kernel.ErrUnavailable, LibraryVariable, path, err, install)
		}
		return b, nil
	}
	var errs []error
	for _, name := range candidates() {
		b, err := load(name)
		if err == nil {
			return b, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("%w: no oneDNN library: %w; %s", kernel.ErrUnavailable, joined(errs), install)
}

// joined puts the errors on one line.
func joined(errs []error) error {
	var parts []string
	for _, err := range errs {
		parts = append(parts, err.Error())
	}
	return errors.New(strings.Join(parts, "; "))
}

// loadFile loads a library that the user names. An ELF file that was cut short
// is refused by its section table, which lies at the end: the system's loader
// would map it and die on the first page that is missing.
func loadFile(path string) (*backend, error) {
	if runtime.GOOS == "linux" && strings.Contains(path, "/") { // else a name that the loader looks up
		f, err := elf.Open(path)
		if err != nil {
			return nil, fmt.Errorf("not an ELF shared library, or cut short: %w", err)
		}
		f.Close()
	}
	return load(path)
}

func load(path string) (*backend, error) {
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	reason := (*C.char)(C.calloc(1, 1024))
	if reason == nil {
		return nil, errors.New("out of memory")
	}
	defer C.free(unsafe.Pointer(reason))
	// The library stays loaded: threads of its pool may outlive any engine.
	lib := C.dml_load(cpath, reason, 1024)
	if lib == nil {
		return nil, errors.New(C.GoString(reason))
	}
	return &backend{lib: lib}, nil
}

// backend is a loaded library.
type backend struct{ lib *C.dml_lib }

// Instruction sets.
const (
	isaSSE41      = C.DML_ISA_SSE41
	isaAVX        = C.DML_ISA_AVX
	isaAVX2       = C.DML_ISA_AVX2
	isaAVX512Core = C.DML_ISA_AVX512_CORE
	isaAVX512BF16 = C.DML_ISA_AVX512_BF16
)

// isaNames are the values of dnnl_cpu_isa_t in versions 2 and 3; those that
// differ between them are left to the nearest older name.
var isaNames = []struct {
	bits int
	name string
}{
	{isaAVX512BF16, "avx512_core_bf16"}, {0x67, "avx512_core_vnni"}, {isaAVX512Core, "avx512_core"},
	{isaAVX2, "avx2"}, {isaAVX, "avx"}, {isaSSE41, "sse41"},
}

func (b *backend) isa() int { return int(C.dml_lib_isa(b.lib)) }

func (b *backend) has(bits int) bool { return b.isa()&bits == bits }

// hasWinograd reports whether the library has Winograd's algorithm: version 2 has
// it for AVX-512 and float32, version 3 no longer.
func (b *backend) hasWinograd() bool {
	var major, minor, patch C.int
	C.dml_lib_version(b.lib, &major, &minor, &patch)
	return major == 2 && b.has(isaAVX512Core)
}

// Info describes the loaded library.
func (b *backend) Info() kernel.Info {
	var major, minor, patch C.int
	C.dml_lib_version(b.lib, &major, &minor, &patch)
	info := kernel.Info{
		Name:    "onednn",
		Version: fmt.Sprintf("%d.%d.%d", major, minor, patch),
		Library: C.GoString(C.dml_lib_path(b.lib)),
		ISA:     runtime.GOARCH,
	}
	if runtime.GOARCH == "amd64" {
		for _, isa := range isaNames {
			if b.has(isa.bits) {
				info.ISA = isa.name
				break
			}
		}
	}
	return info
}

// NewEngine makes an engine on the loaded library.
func (b *backend) NewEngine(opts kernel.EngineOptions) (kernel.Engine, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.BFloat16 && !b.has(isaAVX512BF16) {
		return nil, fmt.Errorf("onednn: bfloat16: %w: the processor, or the limit set for it, is %s", kernel.ErrUnavailable, b.Info().ISA)
	}
	e := &engine{backend: b, opts: opts}
	if err := failure(C.dml_engine_new(b.lib, C.int(max(1, opts.Threads)), &e.ptr)); err != nil {
		return nil, fmt.Errorf("onednn: %w", err)
	}
	return e, nil
}

// failure returns nil, or what failed and why: kernel.ErrMemory or oneDNN's name
// for it.
func failure(r C.dml_result) error {
	if r.status == C.DNNL_SUCCESS {
		return nil
	}
	if r.status == C.DNNL_OUT_OF_MEMORY {
		return fmt.Errorf("%s: %w", C.GoString(r.step), kernel.ErrMemory)
	}
	return fmt.Errorf("%s: %s", C.GoString(r.step), C.GoString(C.dml_status_name(r.status)))
}
