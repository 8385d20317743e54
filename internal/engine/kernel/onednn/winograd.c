//go:build cgo && (linux || darwin)

// Convolutions by our own Winograd kernels: their plans, memory and threads.

#include "plan.h"

// Tiles that are multiplied together. A few keep the transformed tiles in the
// first cache. Where the transformed kernels outgrow the second, more tiles
// share each reading of them. The sums of products are read and written for
// each group, so groups are larger there.
enum { FEW_TILES = 8, MANY_TILES = 32, LARGE_KERNELS = 128 * 128 };

static int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

// scratch is what one thread needs for a group, in values.
static int64_t scratch(const dml_tiling *t) { return DML_WINOGRAD_POINTS * t->group * (t->in + t->out); }

// transformed is the length of 36 matrices [in, out].
static int64_t transformed(const dml_tiling *t) { return DML_WINOGRAD_POINTS * t->in * t->out; }

int dml_lib_winograd_lanes(const dml_lib *lib) {
	return lib->loops->winograd == NULL ? 0 : lib->loops->winograd->lanes;
}

dml_result dml_winograd_plan(dml_plan *p, const dml_conv_geometry *g, enum dml_pass pass) {
	dml_engine *e = p->e;
	const dml_desc *src = &g->src, *dst = &g->dst;
	int64_t top = g->pad_before[0], left = g->pad_before[1];
	if (pass == DML_BACKWARD_DATA) {
		src = &g->dst;
		dst = &g->src;
		top = g->kernel[0] - 1 - top;
		left = g->kernel[1] - 1 - left;
	}
	dml_tiling t = {
		.images = src->n,
		.in = src->c,
		.out = dst->c,
		.src_h = src->h,
		.src_w = src->w,
		.dst_h = dst->h,
		.dst_w = dst->w,
		.top = top,
		.left = left,
		.rows = ceiling(dst->h, 4),
		.cols = ceiling(dst->w, 4),
		.group = pass == DML_BACKWARD_WEIGHTS || src->c * dst->c > LARGE_KERNELS ? MANY_TILES : FEW_TILES,
	};
	int64_t matrices = transformed(&t) * (pass == DML_BACKWARD_WEIGHTS ? e->threads : 1);
	if (dml_reserve(e, DML_SLOT_WEIGHTS, (size_t)matrices * sizeof(float)) != DNNL_SUCCESS ||
		dml_reserve(e, DML_SLOT_SCRATCHPAD, (size_t)(scratch(&t) * e->threads) * sizeof(float)) != DNNL_SUCCESS) {
		return dml_fail(DNNL_OUT_OF_MEMORY, "allocating memory for Winograd's algorithm");
	}
	p->winograd = (dml_winograd){
		.loops = e->lib->loops->winograd,
		.tiling = t,
		.groups = ceiling(t.images * t.rows * t.cols, t.group),
		.epilogue = {.sum = g->sum, .act = g->act, .lo = g->lo, .hi = g->hi},
	};
	return dml_ok();
}

typedef struct {
	const dml_plan *p;
	float *to;
	const float *from, *ddst;
	dml_kernels kernels;
	dml_epilogue epilogue;
} job;

static void kernels_job(void *arg, int64_t begin, int64_t end) {
	const job *j = arg;
	const dml_winograd *w = &j->p->winograd;
	w->loops->kernels(&w->tiling, j->p->e->slot[DML_SLOT_WEIGHTS].data, &j->kernels, begin, end);
}

// forward_job computes shares of the groups, one a thread.
static void forward_job(void *arg, int64_t begin, int64_t end) {
	const job *j = arg;
	const dml_winograd *w = &j->p->winograd;
	const dml_engine *e = j->p->e;
	for (int64_t i = begin; i < end; i++) {
		w->loops->forward(&w->tiling, j->to, j->from, e->slot[DML_SLOT_WEIGHTS].data, &j->epilogue,
			e->slot[DML_SLOT_SCRATCHPAD].data + i * scratch(&w->tiling), w->groups * i / e->threads,
			w->groups * (i + 1) / e->threads);
	}
}

static void products_job(void *arg, int64_t begin, int64_t end) {
	const job *j = arg;
	const dml_winograd *w = &j->p->winograd;
	const dml_engine *e = j->p->e;
	for (int64_t i = begin; i < end; i++) {
		w->loops->products(&w->tiling, e->slot[DML_SLOT_WEIGHTS].data + i * transformed(&w->tiling), j->from,
			j->ddst, e->slot[DML_SLOT_SCRATCHPAD].data + i * scratch(&w->tiling),
			w->groups * i / e->threads, w->groups * (i + 1) / e->threads);
	}
}

static void gradient_job(void *arg, int64_t begin, int64_t end) {
	const job *j = arg;
	const dml_winograd *w = &j->p->winograd;
	const dml_engine *e = j->p->e;
	w->loops->gradient(&w->tiling, j->to, e->slot[DML_SLOT_WEIGHTS].data, e->threads, begin, end);
}

static void convolve(job *j) {
	const dml_engine *e = j->p->e;
	const dml_winograd *w = &j->p->winograd;
	dml_enter(e);
	dml_parallel(e, w->tiling.out / w->loops->lanes, kernels_job, j);
	dml_parallel(e, e->threads, forward_job, j);
}

void dml_winograd_forward(dml_plan *p, float *dst, const float *src, const float *weights, const float *bias) {
	const dml_tiling *t = &p->winograd.tiling;
	job j = {
		.p = p,
		.to = dst,
		.from = src,
		.kernels = {weights, 9, 9 * t->in, 0},
		.epilogue = p->winograd.epilogue,
	};
	j.epilogue.bias = bias;
	convolve(&j);
}

void dml_winograd_backward_data(dml_plan *p, float *dsrc, const float *ddst, const float *weights) {
	const dml_tiling *t = &p->winograd.tiling;
	job j = {
		.p = p,
		.to = dsrc,
		.from = ddst,
		.kernels = {weights, 9 * t->out, 9, 1},
	};
	convolve(&j);
}

void dml_winograd_backward_weights(dml_plan *p, float *dweights, const float *src, const float *ddst) {
	job j = {.p = p, .to = dweights, .from = src, .ddst = ddst};
	dml_enter(p->e);
	dml_parallel(p->e, p->e->threads, products_job, &j);
	dml_parallel(p->e, p->winograd.tiling.in, gradient_job, &j);
}
