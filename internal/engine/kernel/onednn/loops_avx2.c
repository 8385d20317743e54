//go:build cgo && (linux || darwin)

// The inner loops for AVX2 with FMA. cgo passes no -mfma, so the functions
// carry the target themselves.

#if defined(__x86_64__)
#define LOOPS dml_loops_avx2
#define WINOGRAD dml_winograd_avx2
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#include "loops_body.h"
#endif
