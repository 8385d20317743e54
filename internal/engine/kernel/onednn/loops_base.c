//go:build cgo && (linux || darwin)

// The inner loops for every processor, and the choice between the sets.

#define LOOPS dml_loops_base
#define LANES 4
#define TARGET
#include "loops_body.h"
#include "shim.h"

const dml_loops *dml_loops_for(int isa) {
#if defined(__x86_64__)
	if ((isa & DML_ISA_AVX512_CORE) == DML_ISA_AVX512_CORE) {
		return &dml_loops_avx512;
	}
	if ((isa & DML_ISA_AVX2) == DML_ISA_AVX2) {
		return &dml_loops_avx2;
	}
#else
	(void)isa;
#endif
	return &dml_loops_base;
}
