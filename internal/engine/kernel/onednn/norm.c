//go:build cgo && (linux || darwin)

// Batch normalisation by our own loops: one pass over the input for the
// statistics, one for the result, and an activation with any bounds fused into
// both directions without a workspace.
//
// Variance by the shifted one-pass formula, E[(x-k)^2] - E[x-k]^2 with k the
// mean of the channel over the first image: k is near the mean on the scale of
// the deviation, so nothing cancels. Sums within an image are float, sums over
// images double and in a fixed order: the result does not depend on the
// number of threads.

#include <math.h>

#include "view.h"

typedef struct {
	float a[DML_MAX_LANES], b[DML_MAX_LANES];
} lane_sums;

struct dml_norm {
	dml_engine *e;
	dml_view view;
	float epsilon, lo, hi;
	dml_lanes *infer; // [groups], of the last inference

	// For training alone.
	dml_lanes *lanes;      // [groups], of the last forward
	lane_sums *sums;       // [images, groups]
	float (*shift)[DML_MAX_LANES]; // [groups]
	double *mean, *variance;   // [channels], of the last forward; variance biased
	float *rstd;               // [channels]

	// Arguments of the call that runs.
	const dml_lanes *now;
	float *out;
	const float *src, *ddst, *gamma, *beta;
	float *dgamma, *dbeta;
};

dml_norm *dml_norm_plan(dml_engine *e, const dml_desc *d, float epsilon, int training, int act, float lo,
	float hi) {
	dml_norm *b = dml_calloc(e, sizeof *b);
	if (b == NULL) {
		return NULL;
	}
	b->e = e;
	b->view = dml_view_of(d, e->lib->loops->lanes);
	b->epsilon = epsilon;
	b->lo = act ? lo : -INFINITY;
	b->hi = act ? hi : INFINITY;
	size_t groups = (size_t)b->view.groups, channels = (size_t)b->view.channels;
	b->infer = dml_calloc(e, groups * sizeof *b->infer);
	if (b->infer == NULL) {
		return NULL;
	}
	if (!training) {
		return b;
	}
	b->lanes = dml_calloc(e, groups * sizeof *b->lanes);
	b->sums = dml_calloc(e, groups * (size_t)b->view.images * sizeof *b->sums);
	b->shift = dml_calloc(e, groups * sizeof *b->shift);
	b->mean = dml_calloc(e, channels * sizeof *b->mean);
	b->variance = dml_calloc(e, channels * sizeof *b->variance);
	b->rstd = dml_calloc(e, channels * sizeof *b->rstd);
	if (!b->lanes || !b->sums || !b->shift || !b->mean || !b->variance || !b->rstd) {
		return NULL;
	}
	return b;
}

// fold adds the lanes of one sum up by channel.
static void fold(const dml_view *v, const float *lanes, double *channels) {
	for (int l = 0; l < v->lanes; l++) {
		channels[l % v->period] += lanes[l];
	}
}

static double count(const dml_norm *b) { return (double)(b->view.images * b->view.pixels); }

// set_channel prepares the lanes of channel i of a group.
static void set_channel(const dml_norm *b, dml_lanes *p, int i, float mean, float scale, float beta) {
	for (int l = i; l < b->view.lanes; l += b->view.period) {
		p->mean[l] = mean;
		p->scale[l] = scale;
		p->beta[l] = beta;
		// The lanes of the channel padding keep bounds of zero, and so
		// turn everything into zero.
		p->lo[l] = b->lo;
		p->hi[l] = b->hi;
	}
}

// --- phases: each works on the segments of images [i0, i1) and one group --------

static void sum_images(dml_norm *b, int64_t group, int64_t i0, int64_t i1) {
	const dml_view *v = &b->view;
	for (int64_t i = i0; i < i1; i++) {
		lane_sums *s = &b->sums[i * v->groups + group];
		b->e->lib->loops->sums(dml_view_segment(v, group), b->src + dml_view_offset(v, i, group),
			b->shift[group], s->a, s->b);
	}
}

static void norm_images(dml_norm *b, int64_t group, int64_t i0, int64_t i1) {
	const dml_view *v = &b->view;
	for (int64_t i = i0; i < i1; i++) {
		int64_t at = dml_view_offset(v, i, group);
		b->e->lib->loops->norm(dml_view_segment(v, group), b->out + at, b->src + at, &b->now[group]);
	}
}

static void sum_gradients(dml_norm *b, int64_t group, int64_t i0, int64_t i1) {
	const dml_view *v = &b->view;
	for (int64_t i = i0; i < i1; i++) {
		int64_t at = dml_view_offset(v, i, group);
		lane_sums *s = &b->sums[i * v->groups + group];
		b->e->lib->loops->norm_sums(dml_view_segment(v, group), b->ddst + at, b->src + at,
			&b->lanes[group], s->a, s->b);
	}
}

static void norm_gradients(dml_norm *b, int64_t group, int64_t i0, int64_t i1) {
	const dml_view *v = &b->view;
	for (int64_t i = i0; i < i1; i++) {
		int64_t at = dml_view_offset(v, i, group);
		b->e->lib->loops->norm_backward(dml_view_segment(v, group), b->out + at, b->ddst + at,
			b->src + at, &b->lanes[group]);
	}
}

// --- between the phases: per channel ---------------------------------------------

// choose_shift sets the shift of a group to the means over the first image.
static void choose_shift(dml_norm *b, int64_t group) {
	const dml_view *v = &b->view;
	const float none[DML_MAX_LANES] = {0};
	lane_sums s;
	b->e->lib->loops->sums(dml_view_segment(v, group), b->src + dml_view_offset(v, 0, group), none, s.a, s.b);
	double sum[DML_MAX_LANES] = {0};
	fold(v, s.a, sum);
	for (int l = 0; l < v->lanes; l++) {
		b->shift[group][l] = (float)(sum[l % v->period] / (double)v->pixels);
	}
}

static void finish_statistics(dml_norm *b, int64_t group) {
	const dml_view *v = &b->view;
	double sum[DML_MAX_LANES] = {0}, square[DML_MAX_LANES] = {0};
	for (int64_t i = 0; i < v->images; i++) {
		fold(v, b->sums[i * v->groups + group].a, sum);
		fold(v, b->sums[i * v->groups + group].b, square);
	}
	for (int i = 0; i < dml_view_channels(v, group); i++) {
		int64_t c = group * v->period + i;
		double offset = sum[i] / count(b);
		double variance = square[i] / count(b) - offset * offset;
		b->mean[c] = (double)b->shift[group][i] + offset;
		// Not fmax, which would hide a NaN.
		b->variance[c] = variance < 0 ? 0 : variance;
		b->rstd[c] = (float)(1 / sqrt(b->variance[c] + (double)b->epsilon));
		set_channel(b, &b->lanes[group], i, (float)b->mean[c], b->gamma[c] * b->rstd[c], b->beta[c]);
	}
}

static void finish_gradients(dml_norm *b, int64_t group) {
	const dml_view *v = &b->view;
	double sum[DML_MAX_LANES] = {0}, product[DML_MAX_LANES] = {0};
	for (int64_t i = 0; i < v->images; i++) {
		fold(v, b->sums[i * v->groups + group].a, sum);
		fold(v, b->sums[i * v->groups + group].b, product);
	}
	dml_lanes *p = &b->lanes[group];
	int channels = dml_view_channels(v, group);
	for (int i = 0; i < channels; i++) {
		int64_t c = group * v->period + i;
		b->dbeta[c] = (float)sum[i];
		b->dgamma[c] = (float)(product[i] * (double)b->rstd[c]);
	}
	for (int l = 0; l < v->lanes; l++) {
		int i = l % v->period;
		double scale = i < channels ? (double)p->scale[l] / count(b) : 0;
		double rstd = i < channels ? (double)b->rstd[group * v->period + i] : 0;
		p->by_x[l] = (float)(scale * product[i] * rstd * rstd);
		p->by_one[l] = (float)(scale * sum[i]);
	}
}

// --- schedule ------------------------------------------------------------------------

typedef void phase_images(dml_norm *b, int64_t group, int64_t i0, int64_t i1);
typedef void phase_channels(dml_norm *b, int64_t group);

typedef struct {
	dml_norm *b;
	phase_channels *before, *between;
	phase_images *first, *second;
	int64_t group;
	phase_images *now;
} schedule;

static void run_groups(void *arg, int64_t begin, int64_t end) {
	const schedule *s = arg;
	for (int64_t g = begin; g < end; g++) {
		if (s->before != NULL) {
			s->before(s->b, g);
		}
		if (s->first != NULL) {
			s->first(s->b, g, 0, s->b->view.images);
		}
		if (s->between != NULL) {
			s->between(s->b, g);
		}
		s->second(s->b, g, 0, s->b->view.images);
	}
}

static void run_images(void *arg, int64_t begin, int64_t end) {
	const schedule *s = arg;
	s->now(s->b, s->group, begin, end);
}

// run goes group by group, so that the second pass finds a small group in the
// cache; threads share the groups, or the images of a group where the groups
// do not divide evenly.
static void run(schedule s) {
	dml_norm *b = s.b;
	const dml_engine *e = b->e;
	if (b->view.groups % e->threads == 0) {
		dml_parallel(e, b->view.groups, run_groups, &s);
		return;
	}
	for (s.group = 0; s.group < b->view.groups; s.group++) {
		if (s.before != NULL) {
			s.before(b, s.group);
		}
		if (s.first != NULL) {
			s.now = s.first;
			dml_parallel(e, b->view.images, run_images, &s);
		}
		if (s.between != NULL) {
			s.between(b, s.group);
		}
		s.now = s.second;
		dml_parallel(e, b->view.images, run_images, &s);
	}
}

void dml_norm_forward(dml_norm *b, float *dst, const float *src, const float *gamma, const float *beta) {
	dml_enter(b->e);
	b->now = b->lanes;
	b->out = dst;
	b->src = src;
	b->gamma = gamma;
	b->beta = beta;
	run((schedule){.b = b,
		.before = choose_shift,
		.first = sum_images,
		.between = finish_statistics,
		.second = norm_images});
	b->out = NULL;
	b->src = b->gamma = b->beta = NULL;
}

void dml_norm_infer(dml_norm *b, float *dst, const float *src, const float *gamma, const float *beta,
	const float *mean, const float *variance) {
	dml_enter(b->e);
	for (int64_t c = 0; c < b->view.channels; c++) {
		float rstd = (float)(1 / sqrt((double)variance[c] + (double)b->epsilon));
		set_channel(b, &b->infer[c / b->view.period], (int)(c % b->view.period), mean[c], gamma[c] * rstd,
			beta[c]);
	}
	b->now = b->infer;
	b->out = dst;
	b->src = src;
	run((schedule){.b = b, .second = norm_images});
	b->out = NULL;
	b->src = NULL;
}

void dml_norm_backward(dml_norm *b, float *dsrc, float *dgamma, float *dbeta, const float *ddst, const float *src) {
	dml_enter(b->e);
	b->out = dsrc;
	b->dgamma = dgamma;
	b->dbeta = dbeta;
	b->ddst = ddst;
	b->src = src;
	run((schedule){.b = b, .first = sum_gradients, .between = finish_gradients, .second = norm_gradients});
	b->out = b->dgamma = b->dbeta = NULL;
	b->ddst = b->src = NULL;
}

void dml_norm_update(const dml_norm *b, float momentum, float *mean, float *variance) {
	double m = momentum, unbias = count(b) / (count(b) - 1);
	for (int64_t c = 0; c < b->view.channels; c++) {
		mean[c] = (float)((1 - m) * (double)mean[c] + m * b->mean[c]);
		variance[c] = (float)((1 - m) * (double)variance[c] + m * unbias * b->variance[c]);
	}
}
