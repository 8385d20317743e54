#include "loops.h"

#include <stddef.h>

#define EACH_12(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define EACH_24(F) EACH_12(F) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23)
#define COUNT(c) +1

#if defined(__x86_64__)
#define NAME sse
#define ISA "SSE2"
#define LANES 4
#define CHAINS EACH_12
#define TARGET
#include "loops_body.h"

#define NAME avx2
#define ISA "AVX2 with FMA"
#define LANES 8
#define CHAINS EACH_12
#define TARGET __attribute__((target("avx2,fma")))
#include "loops_body.h"

#define NAME avx512
#define ISA "AVX-512"
#define LANES 16
#define CHAINS EACH_24
#define TARGET __attribute__((target("avx512f,fma,prefer-vector-width=512")))
#include "loops_body.h"

const machine_loops *machine_loops_at(int i) {
	static const machine_loops *const all[] = {&loops_sse, &loops_avx2, &loops_avx512};
	int has = 1;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
		has = __builtin_cpu_supports("avx512f") ? 3 : 2;
	}
	return i < has ? all[i] : NULL;
}
#else
#if defined(__aarch64__)
#define ISA "NEON"
#else
#define ISA "vectors of 4"
#endif

#define NAME base
#define LANES 4
#define CHAINS EACH_24
#define TARGET
#include "loops_body.h"

const machine_loops *machine_loops_at(int i) { return i == 0 ? &loops_base : NULL; }
#endif
