//go:build cgo && (linux || darwin)

// Sigmoids and multiplications, of which channels are gated.

#include <string.h>

#include "view.h"

// --- flat arrays ------------------------------------------------------------------

typedef void flat_loop(int64_t n, float *y, const float *a, const float *b);

typedef struct {
	flat_loop *loop;                                    // of two operands, or NULL
	void (*unary)(int64_t n, float *y, const float *x); // then this one
	int64_t n;
	float *y;
	const float *a, *b;
} flat_job;

// Arrays are split at multiples of a cache line.
static void flat_share(void *arg, int64_t begin, int64_t end) {
	const flat_job *j = arg;
	int64_t from = begin * DML_MAX_LANES, to = end * DML_MAX_LANES < j->n ? end * DML_MAX_LANES : j->n;
	if (j->loop != NULL) {
		j->loop(to - from, j->y + from, j->a + from, j->b + from);
	} else {
		j->unary(to - from, j->y + from, j->a + from);
	}
}

static void flat_run(dml_engine *e, flat_job *j) {
	dml_enter(e);
	dml_parallel(e, (j->n + DML_MAX_LANES - 1) / DML_MAX_LANES, flat_share, j);
}

void dml_multiply(dml_engine *e, int64_t n, float *dst, const float *a, const float *b) {
	flat_run(e, &(flat_job){.loop = e->lib->loops->multiply, .n = n, .y = dst, .a = a, .b = b});
}

// --- sigmoid ----------------------------------------------------------------------

// clear_padding sets the channels past c to zero.
static void clear_padding(const dml_desc *d, float *data) {
	int64_t block = dml_block(d->layout), used = d->c % block, pixels = d->h * d->w;
	if (used == 0) {
		return;
	}
	int64_t blocks = (d->c + block - 1) / block;
	for (int64_t n = 0; n < d->n; n++) {
		float *last = data + (n * blocks + blocks - 1) * pixels * block;
		for (int64_t p = 0; p < pixels; p++) {
			memset(last + p * block + used, 0, (size_t)(block - used) * sizeof(float));
		}
	}
}

static int64_t values(const dml_desc *d) {
	int64_t block = dml_block(d->layout);
	return d->n * ((d->c + block - 1) / block * block) * d->h * d->w;
}

void dml_sigmoid(dml_engine *e, const dml_desc *desc, int hard, float *dst, const float *src) {
	const dml_loops *loops = e->lib->loops;
	flat_run(e, &(flat_job){.unary = hard ? loops->hard_sigmoid : loops->sigmoid, .n = values(desc), .y = dst, .a = src});
	clear_padding(desc, dst);
}

void dml_sigmoid_backward(dml_engine *e, int64_t n, int hard, float *dsrc, const float *ddst, const float *dst) {
	const dml_loops *loops = e->lib->loops;
	flat_run(e, &(flat_job){
		.loop = hard ? loops->hard_sigmoid_backward : loops->sigmoid_backward,
		.n = n,
		.y = dsrc,
		.a = ddst,
		.b = dst,
	});
}

// --- gates ------------------------------------------------------------------------

typedef struct {
	const dml_loops *loops;
	dml_view view;
	float *y, *dfactor;
	const float *x, *dy, *factor;
} gate_job;

static void gate_segments(void *arg, int64_t begin, int64_t end) {
	const gate_job *j = arg;
	const dml_view *v = &j->view;
	for (int64_t s = begin; s < end; s++) {
		int64_t image = s / v->groups, group = s % v->groups;
		const float *factor = j->factor + image * v->channels + group * v->period;
		int channels = dml_view_channels(v, group);
		float lanes[DML_MAX_LANES];
		for (int l = 0; l < v->lanes; l++) {
			int c = l % v->period;
			lanes[l] = c < channels ? factor[c] : 0;
		}
		int64_t at = dml_view_offset(v, image, group);
		j->loops->scale(dml_view_segment(v, group), j->y + at, j->x + at, lanes);
	}
}

static void gate_sums(void *arg, int64_t begin, int64_t end) {
	const gate_job *j = arg;
	const dml_view *v = &j->view;
	for (int64_t s = begin; s < end; s++) {
		int64_t image = s / v->groups, group = s % v->groups;
		int64_t at = dml_view_offset(v, image, group);
		float lanes[DML_MAX_LANES];
		j->loops->products(dml_view_segment(v, group), j->x + at, j->dy + at, lanes);
		double sum[DML_MAX_LANES] = {0};
		for (int l = 0; l < v->lanes; l++) {
			sum[l % v->period] += lanes[l];
		}
		float *dfactor = j->dfactor + image * v->channels + group * v->period;
		for (int c = 0; c < dml_view_channels(v, group); c++) {
			dfactor[c] = (float)sum[c];
		}
	}
}

void dml_gate(dml_engine *e, const dml_desc *desc, float *dst, const float *src, const float *factor) {
	dml_enter(e);
	gate_job j = {.loops = e->lib->loops, .view = dml_view_of(desc, e->lib->loops->lanes), .y = dst, .x = src, .factor = factor};
	dml_parallel(e, j.view.images * j.view.groups, gate_segments, &j);
}

void dml_gate_backward(dml_engine *e, const dml_desc *desc, float *dfactor, const float *ddst, const float *src) {
	dml_enter(e);
	gate_job j = {.loops = e->lib->loops, .view = dml_view_of(desc, e->lib->loops->lanes), .dfactor = dfactor, .x = src, .dy = ddst};
	dml_parallel(e, j.view.images * j.view.groups, gate_sums, &j);
}
