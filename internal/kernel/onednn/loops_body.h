// The inner loops. Included once for each instruction set, with
//
//	LOOPS   the name of the table to define
//	TARGET  a function attribute that enables the instructions
//
// Sums run in a fixed order that depends on the segment alone.

#include <string.h>

#include "loops.h"

#define INLINE static inline __attribute__((always_inline)) TARGET

typedef float lane16 __attribute__((vector_size(64)));
typedef int32_t mask16 __attribute__((vector_size(64)));
typedef float lane16_memory __attribute__((vector_size(64), aligned(4), may_alias));

INLINE lane16 load(const float *p, int n) {
	if (n == DML_LANES) {
		return *(const lane16_memory *)p;
	}
	lane16 v = {0};
	memcpy(&v, p, (size_t)n * sizeof(float));
	return v;
}

INLINE void store(float *p, lane16 v, int n) {
	if (n == DML_LANES) {
		*(lane16_memory *)p = v;
	} else {
		memcpy(p, &v, (size_t)n * sizeof(float));
	}
}

INLINE lane16 zero_unless(mask16 m, lane16 v) { return (lane16)((mask16)v & m); }

INLINE lane16 select(mask16 m, lane16 yes, lane16 no) {
	return (lane16)(((mask16)yes & m) | ((mask16)no & ~m));
}

// clip16 leaves NaN as it is.
INLINE lane16 clip16(lane16 v, lane16 lo, lane16 hi) {
	v = select((mask16)(v < lo), lo, v);
	return select((mask16)(v > hi), hi, v);
}

// first16 is true in the first n lanes.
INLINE mask16 first16(int n) {
	const mask16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	return (mask16)(index < n);
}

// ROWS runs body(x index, lanes) over the full rows and the tail of segment s;
// body sees a compile-time 16 where rows are full.
#define ROWS(s, body) \
	do { \
		if ((s)->lanes == DML_LANES) { \
			for (int64_t r = 0; r < (s)->rows; r++) { \
				body(r *(s)->stride, DML_LANES); \
			} \
		} else { \
			for (int64_t r = 0; r < (s)->rows; r++) { \
				body(r *(s)->stride, (s)->lanes); \
			} \
		} \
		if ((s)->tail > 0) { \
			body((s)->rows *(s)->stride, (s)->tail); \
		} \
	} while (0)

// Rows summed into one set of accumulators before they are added to the total:
// short chains lose less to rounding.
enum { CHAIN = 256 };

// PAIR_SUMS adds up the pair of terms that term(x index, lanes, first, second)
// yields, over all rows, into total_a and total_b.
#define PAIR_SUMS(s, term, total_a, total_b) \
	do { \
		if ((s)->lanes == DML_LANES) { \
			for (int64_t from = 0; from < (s)->rows; from += CHAIN) { \
				int64_t to = from + CHAIN < (s)->rows ? from + CHAIN : (s)->rows; \
				lane16 a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}; \
				int64_t r = from; \
				for (; r + 1 < to; r += 2) { \
					term(r *(s)->stride, DML_LANES, a0, b0); \
					term((r + 1) * (s)->stride, DML_LANES, a1, b1); \
				} \
				if (r < to) { \
					term(r *(s)->stride, DML_LANES, a0, b0); \
				} \
				total_a += a0 + a1; \
				total_b += b0 + b1; \
			} \
		} else { \
			for (int64_t r = 0; r < (s)->rows; r++) { \
				term(r *(s)->stride, (s)->lanes, total_a, total_b); \
			} \
		} \
		if ((s)->tail > 0) { \
			term((s)->rows *(s)->stride, (s)->tail, total_a, total_b); \
		} \
	} while (0)

TARGET static void sums(const dml_segment *s, const float *x, const float *shift, float *sum, float *square) {
	const lane16 k = load(shift, DML_LANES);
	lane16 total = {0}, squares = {0};
#define TERM(i, n, a, b) \
	{ \
		lane16 d = load(x + (i), n) - k; \
		d = n == DML_LANES ? d : zero_unless(first16(n), d); \
		a += d; \
		b += d * d; \
	}
	PAIR_SUMS(s, TERM, total, squares);
#undef TERM
	store(sum, total, DML_LANES);
	store(square, squares, DML_LANES);
}

TARGET static void norm(const dml_segment *s, float *y, const float *x, const dml_lanes *p) {
	const lane16 mean = load(p->mean, DML_LANES), scale = load(p->scale, DML_LANES);
	const lane16 beta = load(p->beta, DML_LANES);
	const lane16 lo = load(p->lo, DML_LANES), hi = load(p->hi, DML_LANES);
#define BODY(i, n) store(y + (i), clip16((load(x + (i), n) - mean) * scale + beta, lo, hi), n)
	ROWS(s, BODY);
#undef BODY
}

// PASSING is the gradient at row i that passes the activation: the output is
// recomputed, which costs less than reading it.
#define PASSING(i, n, centred) \
	zero_unless((mask16)((centred) * scale + beta > lo) & (mask16)((centred) * scale + beta < hi), \
		load(dy + (i), n))

TARGET static void norm_sums(const dml_segment *s, const float *dy, const float *x, const dml_lanes *p, float *sum,
	float *product) {
	const lane16 mean = load(p->mean, DML_LANES), scale = load(p->scale, DML_LANES);
	const lane16 beta = load(p->beta, DML_LANES);
	const lane16 lo = load(p->lo, DML_LANES), hi = load(p->hi, DML_LANES);
	lane16 total = {0}, products = {0};
#define TERM(i, n, a, b) \
	{ \
		lane16 centred = load(x + (i), n) - mean; \
		lane16 g = PASSING(i, n, centred); \
		a += g; \
		b += g * centred; \
	}
	PAIR_SUMS(s, TERM, total, products);
#undef TERM
	store(sum, total, DML_LANES);
	store(product, products, DML_LANES);
}

TARGET static void norm_backward(const dml_segment *s, float *dx, const float *dy, const float *x,
	const dml_lanes *p) {
	const lane16 mean = load(p->mean, DML_LANES), scale = load(p->scale, DML_LANES);
	const lane16 beta = load(p->beta, DML_LANES);
	const lane16 lo = load(p->lo, DML_LANES), hi = load(p->hi, DML_LANES);
	const lane16 by_x = load(p->by_x, DML_LANES), by_one = load(p->by_one, DML_LANES);
#define BODY(i, n) \
	{ \
		lane16 centred = load(x + (i), n) - mean; \
		store(dx + (i), scale * PASSING(i, n, centred) - by_x * centred - by_one, n); \
	}
	ROWS(s, BODY);
#undef BODY
}

TARGET static void fill(const dml_segment *s, float *y, const float *v) {
	const lane16 value = load(v, DML_LANES);
#define BODY(i, n) store(y + (i), value, n)
	ROWS(s, BODY);
#undef BODY
}

INLINE lane16 all16(float v) { return (lane16){v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v}; }

// FLAT runs body(index, lanes) over n contiguous values.
#define FLAT(n, body) \
	do { \
		int64_t i = 0; \
		for (; i + DML_LANES <= n; i += DML_LANES) { \
			body(i, DML_LANES); \
		} \
		if (i < n) { \
			body(i, (int)(n - i)); \
		} \
	} while (0)

TARGET static void add(int64_t n, float *y, const float *a, const float *b) {
#define BODY(i, n) store(y + (i), load(a + (i), n) + load(b + (i), n), n)
	FLAT(n, BODY);
#undef BODY
}

TARGET static void add_clip(int64_t n, float *y, const float *a, const float *b, float lo, float hi) {
	const lane16 low = all16(lo), high = all16(hi);
#define BODY(i, n) store(y + (i), clip16(load(a + (i), n) + load(b + (i), n), low, high), n)
	FLAT(n, BODY);
#undef BODY
}

TARGET static void clip(int64_t n, float *y, const float *x, float lo, float hi) {
	const lane16 low = all16(lo), high = all16(hi);
#define BODY(i, n) store(y + (i), clip16(load(x + (i), n), low, high), n)
	FLAT(n, BODY);
#undef BODY
}

TARGET static void clip_backward(int64_t n, float *dx, const float *dy, const float *y, float lo, float hi) {
	const lane16 low = all16(lo), high = all16(hi);
#define BODY(i, n) \
	{ \
		lane16 v = load(y + (i), n); \
		store(dx + (i), zero_unless((mask16)(v > low) & (mask16)(v < high), load(dy + (i), n)), n); \
	}
	FLAT(n, BODY);
#undef BODY
}

const dml_loops LOOPS = {
	.sums = sums,
	.norm = norm,
	.norm_sums = norm_sums,
	.norm_backward = norm_backward,
	.fill = fill,
	.add = add,
	.add_clip = add_clip,
	.clip = clip,
	.clip_backward = clip_backward,
};
