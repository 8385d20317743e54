//go:build cgo && (linux || darwin)

// Winograd's algorithm for AVX-512.

#if defined(__x86_64__)
#define WINOGRAD dml_winograd_avx512
#define LANES 16
#define TILES 8
#define INPUTS 16
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#include "winograd_body.h"
#endif
