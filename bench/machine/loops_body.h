// Included once for each instruction set, with
//
//	NAME    a suffix of the functions' names
//	ISA     the name of the set
//	LANES   floats in a vector register
//	CHAINS  EACH_12 or EACH_24: how many independent multiply-adds are under way,
//	        enough to fill all units for their latency, few enough for the registers
//	TARGET  a function attribute that enables the instructions
//
// A multiply and the addition of its result become one instruction where the
// set has one (-ffp-contract=fast, the default of gnu11).

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(vector_, NAME)
#define MEMORY JOIN(memory_, NAME)
#define MULTIPLY_ADD JOIN(multiply_add_, NAME)
#define TRIAD JOIN(triad_, NAME)

typedef float VECTOR __attribute__((vector_size(4 * LANES)));
typedef float MEMORY __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

TARGET static float MULTIPLY_ADD(int64_t rounds, float start, float x, float y) {
	VECTOR zero = {0};
	VECTOR xs = zero + x, ys = zero + y;
	// Variables, not an array, which the compiler would keep in memory; and of
	// different values, or it would compute one of them alone.
#define BEGIN(c) VECTOR acc##c = zero + (start + c);
#define STEP(c) acc##c = acc##c * xs + ys;
#define SUM(c) total += acc##c;
	CHAINS(BEGIN)
	for (int64_t r = 0; r < rounds; r++) {
		CHAINS(STEP)
	}
	VECTOR total = zero;
	CHAINS(SUM)
#undef BEGIN
#undef STEP
#undef SUM
	float sum = 0;
	for (int l = 0; l < LANES; l++) {
		sum += total[l];
	}
	return sum;
}

TARGET static void TRIAD(int64_t n, float *a, const float *b, const float *c, float s) {
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		*(MEMORY *)(a + i) = *(const MEMORY *)(b + i) + s * *(const MEMORY *)(c + i);
	}
	for (; i < n; i++) {
		a[i] = b[i] + s * c[i];
	}
}

static const machine_loops JOIN(loops_, NAME) = {ISA, LANES, 0 CHAINS(COUNT), MULTIPLY_ADD, TRIAD};

#undef NAME
#undef ISA
#undef LANES
#undef CHAINS
#undef TARGET
