//go:build cgo && (linux || darwin)

// The inner loops for every processor, and the choice between the sets.

#define LOOPS dml_loops_base
#define LANES 4
#define TARGET
#include "loops_body.h"

// dnnl_cpu_isa_t is a set of bits: a newer instruction set holds those of the
// older ones.
enum { ISA_AVX2 = 0x7, ISA_AVX512_CORE = 0x27 };

const dml_loops *dml_loops_for(int isa) {
#if defined(__x86_64__)
	if ((isa & ISA_AVX512_CORE) == ISA_AVX512_CORE) {
		return &dml_loops_avx512;
	}
	if ((isa & ISA_AVX2) == ISA_AVX2) {
		return &dml_loops_avx2;
	}
#else
	(void)isa;
#endif
	return &dml_loops_base;
}
