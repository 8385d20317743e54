// Vector registers: what the bodies of the inner loops share. Included once for
// each instruction set, with
//
//	LANES   the number of values in a vector register
//	TARGET  a function attribute that enables the instructions

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline)) TARGET

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));
typedef uint32_t bits __attribute__((vector_size(4 * LANES)));
typedef float lanes_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE lanes load(const float *p, int n) {
	if (n == LANES) {
		return *(const lanes_memory *)p;
	}
	lanes v = {0};
	memcpy(&v, p, (size_t)n * sizeof(float));
	return v;
}

INLINE void store(float *p, lanes v, int n) {
	if (n == LANES) {
		*(lanes_memory *)p = v;
	} else {
		memcpy(p, &v, (size_t)n * sizeof(float));
	}
}

INLINE lanes all(float x) {
	lanes v;
	for (int i = 0; i < LANES; i++) {
		v[i] = x;
	}
	return v;
}

INLINE lanes choose(mask m, lanes yes, lanes no) { return (lanes)(((mask)yes & m) | ((mask)no & ~m)); }

// clip_lanes leaves NaN as it is.
INLINE lanes clip_lanes(lanes v, lanes lo, lanes hi) {
	v = choose((mask)(v < lo), lo, v);
	return choose((mask)(v > hi), hi, v);
}
