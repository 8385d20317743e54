//go:build cgo && (linux || darwin)

// The inner loops for AVX-512.

#if defined(__x86_64__)
#define LOOPS dml_loops_avx512
#define WINOGRAD dml_winograd_avx512
#define LANES 16
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#include "loops_body.h"
#endif
