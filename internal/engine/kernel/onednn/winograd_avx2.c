//go:build cgo && (linux || darwin)

// Winograd's algorithm for AVX2 with FMA: half the registers of AVX-512.

#if defined(__x86_64__)
#define WINOGRAD dml_winograd_avx2
#define LANES 8
#define TILES 4
#define INPUTS 8
#define TARGET __attribute__((target("avx2,fma")))
#include "winograd_body.h"
#endif
