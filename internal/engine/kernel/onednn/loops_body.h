// The inner loops. Included once for each instruction set, with
//
//	LOOPS   the name of the table to define
//	LANES   the number of values in a vector register
//	TARGET  a function attribute that enables the instructions
//	WINOGRAD  (perhaps) the table of winograd_body.h
//
// Sums run in a fixed order that depends on the segment alone.

#include "lanes.h"
#include "loops.h"

// first is true in the first n lanes.
INLINE mask first(int n) {
	mask m;
	for (int i = 0; i < LANES; i++) {
		m[i] = i < n ? -1 : 0;
	}
	return m;
}

INLINE lanes zero_unless(mask m, lanes v) { return (lanes)((mask)v & m); }

// ROWS runs body(x index, lanes) over the full rows and the tail of segment s;
// body sees a constant where rows are full.
#define ROWS(s, body) \
	do { \
		if ((s)->lanes == LANES) { \
			for (int64_t r = 0; r < (s)->rows; r++) { \
				body(r *(s)->stride, LANES); \
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
		if ((s)->lanes == LANES) { \
			for (int64_t from = 0; from < (s)->rows; from += CHAIN) { \
				int64_t to = from + CHAIN < (s)->rows ? from + CHAIN : (s)->rows; \
				lanes a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}; \
				int64_t r = from; \
				for (; r + 1 < to; r += 2) { \
					term(r *(s)->stride, LANES, a0, b0); \
					term((r + 1) * (s)->stride, LANES, a1, b1); \
				} \
				if (r < to) { \
					term(r *(s)->stride, LANES, a0, b0); \
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
	const lanes k = load(shift, LANES);
	lanes total = {0}, squares = {0};
#define TERM(i, n, a, b) \
	{ \
		lanes d = load(x + (i), n) - k; \
		d = n == LANES ? d : zero_unless(first(n), d); \
		a += d; \
		b += d * d; \
	}
	PAIR_SUMS(s, TERM, total, squares);
#undef TERM
	store(sum, total, LANES);
	store(square, squares, LANES);
}

TARGET static void norm(const dml_segment *s, float *y, const float *x, const dml_lanes *p) {
	const lanes mean = load(p->mean, LANES), scale = load(p->scale, LANES);
	const lanes beta = load(p->beta, LANES);
	const lanes lo = load(p->lo, LANES), hi = load(p->hi, LANES);
#define BODY(i, n) store(y + (i), clip_lanes((load(x + (i), n) - mean) * scale + beta, lo, hi), n)
	ROWS(s, BODY);
#undef BODY
}

TARGET static void add_norm(const dml_segment *s, float *y, const float *x, const dml_lanes *p) {
	const lanes mean = load(p->mean, LANES), scale = load(p->scale, LANES);
	const lanes beta = load(p->beta, LANES);
	const lanes lo = load(p->lo, LANES), hi = load(p->hi, LANES);
#define BODY(i, n) \
	store(y + (i), clip_lanes((load(x + (i), n) - mean) * scale + beta + load(y + (i), n), lo, hi), n)
	ROWS(s, BODY);
#undef BODY
}

// PASSING is the gradient at row i that passes the activation: the output is
// recomputed, which costs less than reading it.
#define PASSING(i, n, centred) \
	zero_unless((mask)((centred) * scale + beta > lo) & (mask)((centred) * scale + beta < hi), \
		load(dy + (i), n))

TARGET static void norm_sums(const dml_segment *s, const float *dy, const float *x, const dml_lanes *p, float *sum,
	float *product) {
	const lanes mean = load(p->mean, LANES), scale = load(p->scale, LANES);
	const lanes beta = load(p->beta, LANES);
	const lanes lo = load(p->lo, LANES), hi = load(p->hi, LANES);
	lanes total = {0}, products = {0};
#define TERM(i, n, a, b) \
	{ \
		lanes centred = load(x + (i), n) - mean; \
		lanes g = PASSING(i, n, centred); \
		a += g; \
		b += g * centred; \
	}
	PAIR_SUMS(s, TERM, total, products);
#undef TERM
	store(sum, total, LANES);
	store(product, products, LANES);
}

TARGET static void norm_backward(const dml_segment *s, float *dx, const float *dy, const float *x,
	const dml_lanes *p) {
	const lanes mean = load(p->mean, LANES), scale = load(p->scale, LANES);
	const lanes beta = load(p->beta, LANES);
	const lanes lo = load(p->lo, LANES), hi = load(p->hi, LANES);
	const lanes by_x = load(p->by_x, LANES), by_one = load(p->by_one, LANES);
#define BODY(i, n) \
	{ \
		lanes centred = load(x + (i), n) - mean; \
		store(dx + (i), scale * PASSING(i, n, centred) - by_x * centred - by_one, n); \
	}
	ROWS(s, BODY);
#undef BODY
}

TARGET static void fill(const dml_segment *s, float *y, const float *v) {
	const lanes value = load(v, LANES);
#define BODY(i, n) store(y + (i), value, n)
	ROWS(s, BODY);
#undef BODY
}

TARGET static void scale(const dml_segment *s, float *y, const float *x, const float *v) {
	const lanes factor = load(v, LANES);
#define BODY(i, n) store(y + (i), load(x + (i), n) * factor, n)
	ROWS(s, BODY);
#undef BODY
}

TARGET static void products(const dml_segment *s, const float *x, const float *z, float *sum) {
	lanes total = {0}, none = {0};
#define TERM(i, n, a, b) a += load(x + (i), n) * load(z + (i), n)
	PAIR_SUMS(s, TERM, total, none);
#undef TERM
	store(sum, total, LANES);
}

TARGET static void dropout(const dml_segment *s, float *y, const float *x, const dml_mask *m) {
	const lanes scale = all(m->scale);
	bits at;
	memcpy(&at, m->at, sizeof at);
#define BODY(i, n) \
	{ \
		bits h = at ^ m->low; \
		h = (h ^ h >> 16) * 0x7feb352du; \
		h ^= m->high; \
		h = (h ^ h >> 15) * 0x846ca68bu; \
		h ^= h >> 16; \
		store(y + (i), zero_unless((mask)(h >= m->threshold), load(x + (i), n) * scale), n); \
		at += m->step; \
	}
	ROWS(s, BODY);
#undef BODY
}

// FLAT runs body(index, lanes) over n contiguous values.
#define FLAT(n, body) \
	do { \
		int64_t i = 0; \
		for (; i + LANES <= n; i += LANES) { \
			body(i, LANES); \
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
	const lanes low = all(lo), high = all(hi);
#define BODY(i, n) store(y + (i), clip_lanes(load(a + (i), n) + load(b + (i), n), low, high), n)
	FLAT(n, BODY);
#undef BODY
}

TARGET static void clip(int64_t n, float *y, const float *x, float lo, float hi) {
	const lanes low = all(lo), high = all(hi);
#define BODY(i, n) store(y + (i), clip_lanes(load(x + (i), n), low, high), n)
	FLAT(n, BODY);
#undef BODY
}

TARGET static void clip_backward(int64_t n, float *dx, const float *dy, const float *y, float lo, float hi) {
	const lanes low = all(lo), high = all(hi);
#define BODY(i, n) \
	{ \
		lanes v = load(y + (i), n); \
		store(dx + (i), zero_unless((mask)(v > low) & (mask)(v < high), load(dy + (i), n)), n); \
	}
	FLAT(n, BODY);
#undef BODY
}

TARGET static void multiply(int64_t n, float *y, const float *a, const float *b) {
#define BODY(i, n) store(y + (i), load(a + (i), n) * load(b + (i), n), n)
	FLAT(n, BODY);
#undef BODY
}

TARGET static void hard_sigmoid(int64_t n, float *y, const float *x) {
	const lanes low = all(0), high = all(1);
#define BODY(i, n) store(y + (i), clip_lanes(load(x + (i), n) * (1.0f / 6) + 0.5f, low, high), n)
	FLAT(n, BODY);
#undef BODY
}

TARGET static void hard_sigmoid_backward(int64_t n, float *dx, const float *dy, const float *y) {
	const lanes low = all(0), high = all(1);
#define BODY(i, n) \
	{ \
		lanes v = load(y + (i), n); \
		store(dx + (i), zero_unless((mask)(v > low) & (mask)(v < high), load(dy + (i), n) * (1.0f / 6)), n); \
	}
	FLAT(n, BODY);
#undef BODY
}

TARGET static void sigmoid_backward(int64_t n, float *dx, const float *dy, const float *y) {
#define BODY(i, n) \
	{ \
		lanes v = load(y + (i), n); \
		store(dx + (i), load(dy + (i), n) * v * (1.0f - v), n); \
	}
	FLAT(n, BODY);
#undef BODY
}

// exp_lanes is exp for x <= 0, or a little more, to about two units in the last
// place: 2^n times a polynomial in the rest of x/log 2 (Moshier's Cephes,
// expf). It is 0 where the result is no normal number, and keeps NaN.
INLINE lanes exp_lanes(lanes x) {
	const lanes magic = all(12582912); // 1.5 * 2^23: its last bits count ones
	const lanes least = all(-88);
	x = choose((mask)(x < least), least, x);
	lanes shifted = x * 1.44269504088896341f + magic;
	lanes n = shifted - magic;
	x = x - n * 0.693359375f;
	x = x + n * 2.12194440e-4f;
	lanes y = x * 1.9875691500e-4f + 1.3981999507e-3f;
	y = y * x + 8.3334519073e-3f;
	y = y * x + 4.1665795894e-2f;
	y = y * x + 1.6666665459e-1f;
	y = y * x + 5.0000001201e-1f;
	y = y * x * x + x + 1.0f;
	return y * (lanes)(((mask)shifted - (mask)magic + 127) << 23);
}

// sigmoid divides by 1 + exp(-|x|), which never overflows.
TARGET static void sigmoid(int64_t n, float *y, const float *x) {
	const lanes zero = {0};
#define BODY(i, n) \
	{ \
		lanes v = load(x + (i), n); \
		mask positive = (mask)(v > zero); \
		lanes e = exp_lanes(choose(positive, -v, v)); \
		store(y + (i), choose(positive, all(1), e) / (1.0f + e), n); \
	}
	FLAT(n, BODY);
#undef BODY
}

TARGET static float max(int64_t n, const float *x) {
	lanes most = all(x[0]);
#define BODY(i, n) \
	{ \
		lanes v = load(x + (i), n); \
		mask larger = (mask)(v > most); \
		most = choose(n == LANES ? larger : larger & first(n), v, most); \
	}
	FLAT(n, BODY);
#undef BODY
	float result = most[0];
	for (int l = 1; l < LANES; l++) {
		result = most[l] > result ? most[l] : result;
	}
	return result;
}

TARGET static double exp_sum(int64_t n, float *y, const float *x, float shift) {
	lanes total = {0};
#define BODY(i, n) \
	{ \
		lanes e = exp_lanes(load(x + (i), n) - shift); \
		if (y != NULL) { \
			store(y + (i), e, n); \
		} \
		total += n == LANES ? e : zero_unless(first(n), e); \
	}
	FLAT(n, BODY);
#undef BODY
	double sum = 0;
	for (int l = 0; l < LANES; l++) {
		sum += total[l];
	}
	return sum;
}

const dml_loops LOOPS = {
	.lanes = LANES,
#ifdef WINOGRAD
	.winograd = &WINOGRAD,
#endif
	.sums = sums,
	.norm = norm,
	.add_norm = add_norm,
	.norm_sums = norm_sums,
	.norm_backward = norm_backward,
	.fill = fill,
	.dropout = dropout,
	.scale = scale,
	.products = products,
	.max = max,
	.exp_sum = exp_sum,
	.add = add,
	.add_clip = add_clip,
	.clip = clip,
	.clip_backward = clip_backward,
	.multiply = multiply,
	.sigmoid = sigmoid,
	.sigmoid_backward = sigmoid_backward,
	.hard_sigmoid = hard_sigmoid,
	.hard_sigmoid_backward = hard_sigmoid_backward,
};
