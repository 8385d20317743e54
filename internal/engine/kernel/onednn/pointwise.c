//go:build cgo && (linux || darwin)

// Kernels that move or combine single values.

#include <string.h>

#include "view.h"

dml_view dml_view_of(const dml_desc *d, int lanes) {
	int64_t pixels = d->h * d->w;
	dml_view v = {.images = d->n, .channels = d->c, .pixels = pixels, .lanes = lanes, .parts = 1};
	int block = dml_block(d->layout);
	int64_t padded = (d->c + block - 1) / block * block;
	v.image_stride = pixels * padded;
	if (d->layout == DML_NHWC || block >= lanes) {
		v.period = lanes;
		v.groups = (padded + lanes - 1) / lanes;
		v.parts = d->layout == DML_NHWC ? v.groups : block / lanes;
		v.part_stride = lanes;
		v.block_stride = pixels * block;
		v.full = (dml_segment){
			.rows = pixels,
			.stride = d->layout == DML_NHWC ? d->c : block,
			.lanes = lanes,
		};
		v.last = v.full;
		v.last.lanes = (int)(padded - (v.groups - 1) * lanes);
		return v;
	}
	v.period = block;
	v.groups = padded / block;
	v.block_stride = pixels * block;
	v.full = (dml_segment){
		.rows = v.block_stride / lanes,
		.stride = lanes,
		.lanes = lanes,
		.tail = (int)(v.block_stride % lanes),
	};
	v.last = v.full;
	return v;
}

// --- flat arrays ------------------------------------------------------------------

typedef struct {
	const dml_loops *loops;
	int64_t n;
	float *y;
	const float *a, *b;
	float lo, hi;
} flat_job;

// Arrays are split at multiples of a cache line.
static int64_t flat_units(int64_t n) { return (n + DML_MAX_LANES - 1) / DML_MAX_LANES; }

static int64_t flat_begin(int64_t unit) { return unit * DML_MAX_LANES; }

static int64_t flat_count(const flat_job *j, int64_t begin, int64_t end) {
	int64_t stop = end * DML_MAX_LANES < j->n ? end * DML_MAX_LANES : j->n;
	return stop - begin * DML_MAX_LANES;
}

static void flat_add(void *arg, int64_t begin, int64_t end) {
	const flat_job *j = arg;
	int64_t i = flat_begin(begin);
	j->loops->add(flat_count(j, begin, end), j->y + i, j->a + i, j->b + i);
}

static void flat_add_clip(void *arg, int64_t begin, int64_t end) {
	const flat_job *j = arg;
	int64_t i = flat_begin(begin);
	j->loops->add_clip(flat_count(j, begin, end), j->y + i, j->a + i, j->b + i, j->lo, j->hi);
}

static void flat_clip(void *arg, int64_t begin, int64_t end) {
	const flat_job *j = arg;
	int64_t i = flat_begin(begin);
	j->loops->clip(flat_count(j, begin, end), j->y + i, j->a + i, j->lo, j->hi);
}

static void flat_clip_backward(void *arg, int64_t begin, int64_t end) {
	const flat_job *j = arg;
	int64_t i = flat_begin(begin);
	j->loops->clip_backward(flat_count(j, begin, end), j->y + i, j->a + i, j->b + i, j->lo, j->hi);
}

static void flat_copy(void *arg, int64_t begin, int64_t end) {
	const flat_job *j = arg;
	int64_t i = flat_begin(begin);
	memmove(j->y + i, j->a + i, (size_t)flat_count(j, begin, end) * sizeof(float));
}

void dml_add(dml_engine *e, int64_t n, float *dst, const float *a, const float *b, int act, float lo, float hi) {
	dml_enter(e);
	flat_job j = {e->lib->loops, n, dst, a, b, lo, hi};
	dml_parallel(e, flat_units(n), act ? flat_add_clip : flat_add, &j);
}

void dml_clip(dml_engine *e, int64_t n, float *dst, const float *src, float lo, float hi) {
	dml_enter(e);
	flat_job j = {e->lib->loops, n, dst, src, NULL, lo, hi};
	dml_parallel(e, flat_units(n), flat_clip, &j);
}

void dml_clip_backward(dml_engine *e, int64_t n, float *dsrc, const float *ddst, const float *dst, float lo,
	float hi) {
	dml_enter(e);
	flat_job j = {e->lib->loops, n, dsrc, ddst, dst, lo, hi};
	dml_parallel(e, flat_units(n), flat_clip_backward, &j);
}

void dml_copy_flat(dml_engine *e, int64_t n, float *dst, const float *src) {
	if (dst == src) {
		return;
	}
	dml_enter(e);
	flat_job j = {.n = n, .y = dst, .a = src};
	dml_parallel(e, flat_units(n), flat_copy, &j);
}

// --- mean over a plane --------------------------------------------------------------

typedef struct {
	const dml_loops *loops;
	dml_view view;
	float *y;
	const float *x;
} mean_job;

static void mean_segments(void *arg, int64_t begin, int64_t end) {
	const mean_job *j = arg;
	const dml_view *v = &j->view;
	const float none[DML_MAX_LANES] = {0};
	for (int64_t s = begin; s < end; s++) {
		int64_t image = s / v->groups, group = s % v->groups;
		float lanes[DML_MAX_LANES], unused[DML_MAX_LANES];
		j->loops->sums(dml_view_segment(v, group), j->x + dml_view_offset(v, image, group), none, lanes,
			unused);
		double sum[DML_MAX_LANES] = {0};
		for (int l = 0; l < v->lanes; l++) {
			sum[l % v->period] += lanes[l];
		}
		float *y = j->y + image * v->channels + group * v->period;
		for (int c = 0; c < dml_view_channels(v, group); c++) {
			y[c] = (float)(sum[c] / (double)v->pixels);
		}
	}
}

static void mean_backward_segments(void *arg, int64_t begin, int64_t end) {
	const mean_job *j = arg;
	const dml_view *v = &j->view;
	for (int64_t s = begin; s < end; s++) {
		int64_t image = s / v->groups, group = s % v->groups;
		const float *x = j->x + image * v->channels + group * v->period;
		int channels = dml_view_channels(v, group);
		float lanes[DML_MAX_LANES];
		for (int l = 0; l < v->lanes; l++) {
			int c = l % v->period;
			lanes[l] = c < channels ? x[c] / (float)v->pixels : 0;
		}
		j->loops->fill(dml_view_segment(v, group), j->y + dml_view_offset(v, image, group), lanes);
	}
}

void dml_mean(dml_engine *e, const dml_desc *src_desc, float *dst, const float *src) {
	dml_enter(e);
	mean_job j = {e->lib->loops, dml_view_of(src_desc, e->lib->loops->lanes), dst, src};
	dml_parallel(e, j.view.images * j.view.groups, mean_segments, &j);
}

void dml_mean_backward(dml_engine *e, const dml_desc *src_desc, float *dsrc, const float *ddst) {
	dml_enter(e);
	mean_job j = {e->lib->loops, dml_view_of(src_desc, e->lib->loops->lanes), dsrc, ddst};
	dml_parallel(e, j.view.images * j.view.groups, mean_backward_segments, &j);
}

// --- dropout ------------------------------------------------------------------------

typedef struct {
	const dml_loops *loops;
	dml_view view;
	float *y;
	const float *x;
	uint64_t key;
	uint32_t threshold;
	float scale;
} dropout_job;

// split_mix is splitMix of package kernel.
static uint64_t split_mix(uint64_t x) {
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void dropout_segments(void *arg, int64_t begin, int64_t end) {
	const dropout_job *j = arg;
	const dml_view *v = &j->view;
	for (int64_t s = begin; s < end; s++) {
		int64_t image = s / v->groups, group = s % v->groups;
		uint64_t key = split_mix(j->key ^ (uint64_t)image);
		dml_mask m = {
			.low = (uint32_t)key,
			.high = (uint32_t)(key >> 32),
			.threshold = j->threshold,
			.scale = j->scale,
			.step = (uint32_t)(v->lanes / v->period),
		};
		for (int l = 0; l < v->lanes; l++) {
			m.at[l] = (uint32_t)((group * v->period + l % v->period) * v->pixels + l / v->period);
		}
		int64_t i = dml_view_offset(v, image, group);
		j->loops->dropout(dml_view_segment(v, group), j->y + i, j->x + i, &m);
	}
}

void dml_dropout(dml_engine *e, const dml_desc *desc, float *dst, const float *src, uint64_t key, uint32_t threshold,
	float scale) {
	dml_enter(e);
	dml_desc d = *desc;
	if (d.layout == DML_NCHW) { // a sample lies in the order of its mask: one run
		d.w *= d.c * d.h;
		d.c = d.h = 1;
	}
	dropout_job j = {e->lib->loops, dml_view_of(&d, e->lib->loops->lanes), dst, src, key, threshold, scale};
	dml_parallel(e, j.view.images * j.view.groups, dropout_segments, &j);
}
