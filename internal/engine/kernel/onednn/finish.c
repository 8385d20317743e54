//go:build cgo && (linux || darwin)

// What follows a convolution where oneDNN does not fuse it: the bias, the sum
// with what the destination held, and the activation, in one pass.

#include <math.h>

#include "view.h"

struct dml_finish {
	dml_engine *e;
	dml_view view;
	int sum;
	size_t bytes;     // of the destination
	dml_lanes *lanes; // [groups]

	// Arguments of the call that runs.
	float *dst;
	const float *src;
};

dml_finish *dml_finish_plan(dml_engine *e, const dml_conv_geometry *g) {
	dml_finish *f = dml_calloc(e, sizeof *f);
	if (f == NULL) {
		return NULL;
	}
	f->e = e;
	f->view = dml_view_of(&g->dst, e->lib->loops->lanes);
	f->sum = g->sum;
	f->bytes = (size_t)(f->view.images * f->view.image_stride) * sizeof(float);
	f->lanes = dml_calloc(e, (size_t)f->view.groups * sizeof *f->lanes);
	if (f->lanes == NULL || (f->sum && dml_reserve(e, DML_SLOT_UNFINISHED, f->bytes) != DNNL_SUCCESS)) {
		return NULL;
	}
	for (int64_t group = 0; group < f->view.groups; group++) {
		dml_lanes *p = &f->lanes[group];
		for (int l = 0; l < f->view.lanes; l++) {
			// Bounds of zero keep the channel padding zero.
			int inside = l % f->view.period < dml_view_channels(&f->view, group);
			p->scale[l] = 1;
			p->lo[l] = !inside ? 0 : g->act ? g->lo : -INFINITY;
			p->hi[l] = !inside ? 0 : g->act ? g->hi : INFINITY;
		}
	}
	return f;
}

static void finish_segments(void *arg, int64_t begin, int64_t end) {
	const dml_finish *f = arg;
	const dml_view *v = &f->view;
	const dml_loops *loops = f->e->lib->loops;
	for (int64_t s = begin; s < end; s++) {
		int64_t group = s % v->groups, at = dml_view_offset(v, s / v->groups, group);
		(f->sum ? loops->add_norm : loops->norm)(dml_view_segment(v, group), f->dst + at, f->src + at,
			&f->lanes[group]);
	}
}

dml_result dml_conv_forward_finished(dml_plan *p, dml_finish *f, float *dst, const float *src, const float *weights,
	const float *bias) {
	const dml_view *v = &f->view;
	f->dst = dst;
	f->src = f->sum ? f->e->slot[DML_SLOT_UNFINISHED].data : dst;
	dml_result r = dml_conv_forward(p, (float *)f->src, src, weights, NULL);
	if (r.status != DNNL_SUCCESS) {
		return r;
	}
	for (int64_t group = 0; bias != NULL && group < v->groups; group++) {
		for (int l = 0; l < v->lanes; l++) {
			int c = l % v->period;
			f->lanes[group].beta[l] = c < dml_view_channels(v, group) ? bias[group * v->period + c] : 0;
		}
	}
	dml_parallel(f->e, v->images * v->groups, finish_segments, f);
	f->dst = NULL; // it may be Go's
	f->src = NULL;
	return r;
}
