//go:build cgo && (linux || darwin)

// Kernels that oneDNN computes.

#include <string.h>

#include "plan.h"

// planned returns r, the outcome of planning p, and takes a plan that failed apart.
static dml_result planned(dml_plan *p, dml_result r) {
	if (r.status != DNNL_SUCCESS) {
		dml_plan_reset(p);
	}
	return r;
}

// --- convolution ----------------------------------------------------------------

typedef struct {
	dml_md src, dst;             // the caller's
	dml_md src_asked, dst_asked; // of the caller's layout, as the primitive takes it
	dml_md src_any, dst_any;     // of the primitive's choice
	dml_md weights, weights_any, bias;
} conv_mds;

// conv_describe sets the caller's memory descriptors and those that the primitive
// is asked for. In bfloat16 it takes its inputs so; its result is float32.
static int conv_describe(const dml_lib *lib, const dml_conv_geometry *g, enum dml_pass pass, conv_mds *m) {
	int input = g->bfloat16 ? DNNL_BF16 : DNNL_F32;
	int src_type = pass == DML_BACKWARD_DATA ? DNNL_F32 : input;
	int weights_type = pass == DML_BACKWARD_WEIGHTS ? DNNL_F32 : input;
	int dst_type = pass == DML_BACKWARD_DATA || pass == DML_BACKWARD_WEIGHTS ? input : DNNL_F32;
	const int64_t src[4] = {g->src.n, g->src.c, g->src.h, g->src.w};
	const int64_t dst[4] = {g->dst.n, g->dst.c, g->dst.h, g->dst.w};
	const int64_t grouped[5] = {g->groups, g->dst.c / g->groups, g->src.c / g->groups, g->kernel[0],
		g->kernel[1]};
	int ndims = g->groups > 1 ? 5 : 4;
	const int64_t *weights = g->groups > 1 ? grouped : grouped + 1;
	int s = dml_md_activation(lib, &m->src, &g->src, DNNL_F32);
	s = s != DNNL_SUCCESS ? s : dml_md_activation(lib, &m->dst, &g->dst, DNNL_F32);
	s = s != DNNL_SUCCESS ? s : dml_md_activation(lib, &m->src_asked, &g->src, src_type);
	s = s != DNNL_SUCCESS ? s : dml_md_activation(lib, &m->dst_asked, &g->dst, dst_type);
	s = s != DNNL_SUCCESS ? s : dml_md_any(lib, &m->src_any, 4, src, src_type);
	s = s != DNNL_SUCCESS ? s : dml_md_any(lib, &m->dst_any, 4, dst, dst_type);
	s = s != DNNL_SUCCESS ? s : dml_md_plain(lib, &m->weights, ndims, weights);
	s = s != DNNL_SUCCESS ? s : dml_md_any(lib, &m->weights_any, ndims, weights, weights_type);
	if (s == DNNL_SUCCESS && g->bias) {
		s = dml_md_plain(lib, &m->bias, 1, &g->dst.c);
	}
	return s;
}

static void conv_forget(conv_mds *m) {
	dml_md *all[] = {&m->src, &m->dst, &m->src_asked, &m->dst_asked, &m->src_any, &m->dst_any, &m->weights, &m->weights_any, &m->bias};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		dml_md_free(all[i]);
	}
}

// conv_choose sets p->op.pd. It takes the first that is fast of: Winograd (if
// asked for), direct, and direct on activations in a layout of oneDNN's choice.
// The last avoids the reference loops, hundreds of times slower, which is all
// that oneDNN has for layouts that do not suit the instruction set. What is fused
// acts on the caller's memory, so it is tried in the caller's layouts alone.
static dml_result conv_choose(dml_plan *p, const dml_conv_geometry *g, enum dml_pass pass,
	const dml_plan *hint, const conv_mds *m) {
	const struct {
		int alg, any, slow;
	} attempts[] = {
		{DNNL_CONVOLUTION_WINOGRAD, 0, 0},
		{DNNL_CONVOLUTION_DIRECT, 0, 0},
		{DNNL_CONVOLUTION_DIRECT, 1, 0},
		{DNNL_CONVOLUTION_DIRECT, 0, 1},
	};
	const int64_t dilation[2] = {g->dilation[0] - 1, g->dilation[1] - 1};
	int fused = g->sum || g->act;
	void *attr = p->e->attr;
	int s = fused ? dml_attr(p->e->lib, g->sum, g->act, g->lo, g->hi, &attr) : DNNL_SUCCESS;
	if (s != DNNL_SUCCESS) {
		return dml_fail(s, "creating the attributes of a fused convolution");
	}
	dml_result r = {DNNL_UNIMPLEMENTED, "creating the descriptor of the convolution"};
	for (size_t i = g->algorithm == DML_WINOGRAD_LIBRARY ? 0 : 1; i < sizeof attempts / sizeof attempts[0]; i++) {
		if (fused && (attempts[i].any || attempts[i].slow)) {
			continue;
		}
		dml_op_desc o = {
			.pass = pass,
			.alg = attempts[i].alg,
			.src = dml_md_ptr(attempts[i].any ? &m->src_any : &m->src_asked),
			.dst = dml_md_ptr(attempts[i].any ? &m->dst_any : &m->dst_asked),
			.weights = dml_md_ptr(&m->weights_any),
			.bias = pass == DML_BACKWARD_DATA ? NULL : dml_md_ptr(&m->bias),
			.stride = g->stride,
			.dilation = dilation,
			.pad_before = g->pad_before,
			.pad_after = g->pad_after,
			.hint = hint == NULL ? NULL : hint->op.pd,
		};
		s = dml_conv_pd(p->e->lib, p->e->engine, attr, &o, &p->op.pd);
		if (s != DNNL_SUCCESS) {
			p->op.pd = NULL;
			r.status = s;
			continue;
		}
		if (attempts[i].slow || !dml_plan_is_slow(p)) {
			r = dml_ok();
			break;
		}
		dml_plan_reset(p);
	}
	if (fused) {
		p->e->lib->primitive_attr_destroy(attr);
	}
	return r;
}

static dml_result conv_ports(dml_plan *p, const dml_conv_geometry *g, enum dml_pass pass, const conv_mds *m) {
	const void *src = dml_md_ptr(&m->src), *dst = dml_md_ptr(&m->dst), *w = dml_md_ptr(&m->weights);
	dml_result r;
	switch (pass) {
	case DML_BACKWARD_DATA:
		r = dml_plan_port(p, DNNL_ARG_DIFF_DST, DNNL_QUERY_DIFF_DST_MD, 0, DML_SLOT_DST, 1, dst);
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_WEIGHTS, DNNL_QUERY_WEIGHTS_MD, 0, DML_SLOT_WEIGHTS, 1, w);
		}
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_DIFF_SRC, DNNL_QUERY_DIFF_SRC_MD, 0, DML_SLOT_SRC, 0, src);
		}
		return r;
	case DML_BACKWARD_WEIGHTS:
		r = dml_plan_port(p, DNNL_ARG_SRC, DNNL_QUERY_SRC_MD, 0, DML_SLOT_SRC, 1, src);
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_DIFF_DST, DNNL_QUERY_DIFF_DST_MD, 0, DML_SLOT_DST, 1, dst);
		}
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_DIFF_WEIGHTS, DNNL_QUERY_DIFF_WEIGHTS_MD, 0,
				DML_SLOT_WEIGHTS, 0, w);
		}
		if (r.status == DNNL_SUCCESS && g->bias) {
			// The caller may not want it: then it goes to the slot.
			if (dml_reserve(p->e, DML_SLOT_BIAS, (size_t)g->dst.c * sizeof(float)) != DNNL_SUCCESS) {
				return dml_fail(DNNL_OUT_OF_MEMORY, "allocating the bias gradient");
			}
			r = dml_plan_port(p, DNNL_ARG_DIFF_BIAS, DNNL_QUERY_DIFF_WEIGHTS_MD, 1, DML_SLOT_BIAS, 0,
				NULL);
		}
		return r;
	default:
		r = dml_plan_port(p, DNNL_ARG_SRC, DNNL_QUERY_SRC_MD, 0, DML_SLOT_SRC, 1, src);
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_WEIGHTS, DNNL_QUERY_WEIGHTS_MD, 0, DML_SLOT_WEIGHTS, 1, w);
		}
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_DST, DNNL_QUERY_DST_MD, 0, DML_SLOT_DST, 0, dst);
		}
		if (r.status == DNNL_SUCCESS && g->bias) {
			r = dml_plan_port(p, DNNL_ARG_BIAS, DNNL_QUERY_WEIGHTS_MD, 1, DML_SLOT_BIAS, 1, NULL);
		}
		return r;
	}
}

dml_result dml_conv_plan(dml_engine *e, const dml_conv_geometry *g, enum dml_pass pass, const dml_plan *hint,
	dml_plan **out) {
	dml_plan *p = *out = dml_plan_new(e);
	if (p == NULL) {
		return dml_fail(DNNL_OUT_OF_MEMORY, "allocating the plan");
	}
	if (g->algorithm == DML_WINOGRAD) {
		return dml_winograd_plan(p, g, pass);
	}
	dml_enter(e);
	conv_mds m = {0};
	int s = conv_describe(e->lib, g, pass, &m);
	dml_result r = s == DNNL_SUCCESS ? conv_choose(p, g, pass, hint, &m)
					 : dml_fail(s, "describing the tensors");
	if (r.status == DNNL_SUCCESS) {
		r = conv_ports(p, g, pass, &m);
	}
	if (r.status == DNNL_SUCCESS) {
		r = dml_plan_create(p);
	}
	conv_forget(&m);
	return planned(p, r);
}

dml_result dml_conv_plan_mirrored(dml_engine *e, const dml_conv_geometry *g, dml_plan **out) {
	dml_conv_geometry m = *g;
	m.src = g->dst;
	m.dst = g->src;
	for (int i = 0; i < 2; i++) {
		int64_t reach = (g->kernel[i] - 1) * g->dilation[i];
		m.pad_before[i] = reach - g->pad_before[i];
		m.pad_after[i] = reach - g->pad_after[i];
	}
	dml_plan *hint;
	dml_result r = dml_conv_plan(e, &m, DML_FORWARD, NULL, &hint);
	if (r.status == DNNL_SUCCESS) {
		r = dml_conv_plan(e, &m, DML_BACKWARD_DATA, hint, out);
	}
	if (r.status != DNNL_SUCCESS) {
		return r;
	}
	dml_plan *p = *out;
	p->mirror.in = g->src.c;
	p->mirror.out = g->dst.c;
	p->mirror.taps = g->kernel[0] * g->kernel[1];
	p->mirror.weights = dml_alloc(e, p->mirror.in * p->mirror.out * p->mirror.taps);
	return p->mirror.weights != NULL ? r : dml_fail(DNNL_OUT_OF_MEMORY, "allocating the mirrored weights");
}

// mirror turns the kernels by half a turn and swaps input and output channels.
static void mirror(const dml_mirror *m, const float *weights) {
	for (int64_t o = 0; o < m->out; o++) {
		for (int64_t i = 0; i < m->in; i++) {
			const float *from = weights + (o * m->in + i) * m->taps;
			float *to = m->weights + (i * m->out + o) * m->taps;
			for (int64_t t = 0; t < m->taps; t++) {
				to[t] = from[m->taps - 1 - t];
			}
		}
	}
}

dml_result dml_conv_forward(dml_plan *p, float *dst, const float *src, const float *weights, const float *bias) {
	if (p->winograd.loops != NULL) {
		dml_winograd_forward(p, dst, src, weights, bias);
		return dml_ok();
	}
	if (p->mirror.weights != NULL) {
		mirror(&p->mirror, weights);
		return dml_plan_run(p, (void *[]){(void *)src, p->mirror.weights, dst});
	}
	return dml_plan_run(p, (void *[]){(void *)src, (void *)weights, dst, (void *)bias});
}

dml_result dml_conv_backward_data(dml_plan *p, float *dsrc, const float *ddst, const float *weights) {
	if (p->winograd.loops != NULL) {
		dml_winograd_backward_data(p, dsrc, ddst, weights);
		return dml_ok();
	}
	return dml_plan_run(p, (void *[]){(void *)ddst, (void *)weights, dsrc});
}

dml_result dml_conv_backward_weights(dml_plan *p, float *dweights, float *dbias, const float *src,
	const float *ddst) {
	if (p->winograd.loops != NULL) {
		dml_winograd_backward_weights(p, dweights, src, ddst);
		return dml_ok();
	}
	return dml_plan_run(p, (void *[]){(void *)src, (void *)ddst, dweights, dbias});
}

// --- pooling --------------------------------------------------------------------

static dml_result pool_plan(dml_plan *p, const dml_pool_geometry *g, enum dml_pass pass, const dml_plan *hint) {
	dml_engine *e = p->e;
	dml_enter(e);
	dml_md src = {0}, dst = {0};
	int s = dml_md_activation(e->lib, &src, &g->src, DNNL_F32);
	s = s != DNNL_SUCCESS ? s : dml_md_activation(e->lib, &dst, &g->dst, DNNL_F32);
	dml_op_desc o = {
		.pass = pass,
		.alg = g->max ? DNNL_POOLING_MAX
			: g->count_pad ? DNNL_POOLING_AVG_INCLUDE_PADDING
				       : DNNL_POOLING_AVG_EXCLUDE_PADDING,
		.src = dml_md_ptr(&src),
		.dst = dml_md_ptr(&dst),
		.stride = g->stride,
		.kernel = g->kernel,
		.pad_before = g->pad_before,
		.pad_after = g->pad_after,
		.hint = hint == NULL ? NULL : hint->op.pd,
	};
	s = s != DNNL_SUCCESS ? s : dml_pool_pd(e->lib, e->engine, e->attr, &o, &p->op.pd);
	dml_md_free(&src);
	dml_md_free(&dst);
	if (s != DNNL_SUCCESS) {
		p->op.pd = NULL;
		return dml_fail(s, "creating the descriptor of the pooling");
	}
	dml_result r;
	if (pass == DML_BACKWARD_DATA) {
		r = dml_plan_port(p, DNNL_ARG_DIFF_DST, DNNL_QUERY_DIFF_DST_MD, 0, DML_SLOT_DST, 1, NULL);
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_DIFF_SRC, DNNL_QUERY_DIFF_SRC_MD, 0, DML_SLOT_SRC, 0, NULL);
		}
	} else {
		r = dml_plan_port(p, DNNL_ARG_SRC, DNNL_QUERY_SRC_MD, 0, DML_SLOT_SRC, 1, NULL);
		if (r.status == DNNL_SUCCESS) {
			r = dml_plan_port(p, DNNL_ARG_DST, DNNL_QUERY_DST_MD, 0, DML_SLOT_DST, 0, NULL);
		}
	}
	if (r.status != DNNL_SUCCESS) {
		return r;
	}
	const void *md = e->lib->primitive_desc_query_md(p->op.pd, DNNL_QUERY_WORKSPACE_MD, 0);
	size_t bytes = md == NULL ? 0 : e->lib->memory_desc_get_size(md);
	if (bytes > 0) {
		if (pass != DML_BACKWARD_DATA && (p->workspace = dml_calloc(e, bytes)) == NULL) {
			return dml_fail(DNNL_OUT_OF_MEMORY, "allocating the winners of the pooling");
		}
		r = dml_plan_port(p, DNNL_ARG_WORKSPACE, DNNL_QUERY_WORKSPACE_MD, 0, DML_SLOT_SCRATCHPAD,
			pass == DML_BACKWARD_DATA, NULL);
		if (r.status != DNNL_SUCCESS) {
			return r;
		}
	}
	return dml_plan_create(p);
}

dml_result dml_pool_plan(dml_engine *e, const dml_pool_geometry *g, enum dml_pass pass, const dml_plan *hint,
	dml_plan **out) {
	dml_plan *p = *out = dml_plan_new(e);
	if (p == NULL) {
		return dml_fail(DNNL_OUT_OF_MEMORY, "allocating the plan");
	}
	return planned(p, pool_plan(p, g, pass, hint));
}

dml_result dml_pool_forward(dml_plan *p, float *dst, const float *src) {
	return dml_plan_run(p, (void *[]){(void *)src, dst, p->workspace});
}

dml_result dml_pool_backward(dml_plan *p, const dml_plan *forward, float *dsrc, const float *ddst) {
	return dml_plan_run(p, (void *[]){(void *)ddst, dsrc, forward->workspace});
}

// --- reorder --------------------------------------------------------------------

static dml_result reorder_plan(dml_plan *p, const dml_desc *dst, const dml_desc *src) {
	dml_engine *e = p->e;
	dml_enter(e);
	dml_md from = {0}, to = {0};
	int s = dml_md_activation(e->lib, &from, src, DNNL_F32);
	s = s != DNNL_SUCCESS ? s : dml_md_activation(e->lib, &to, dst, DNNL_F32);
	s = s != DNNL_SUCCESS ? s
			      : e->lib->reorder_primitive_desc_create(&p->op.pd, dml_md_ptr(&from), e->engine,
					dml_md_ptr(&to), e->engine, e->attr);
	dml_md_free(&from);
	dml_md_free(&to);
	if (s != DNNL_SUCCESS) {
		p->op.pd = NULL;
		return dml_fail(s, "creating the descriptor of the reorder");
	}
	dml_result r = dml_plan_port(p, DNNL_ARG_SRC, DNNL_QUERY_SRC_MD, 0, DML_SLOT_SRC, 1, NULL);
	if (r.status == DNNL_SUCCESS) {
		r = dml_plan_port(p, DNNL_ARG_DST, DNNL_QUERY_DST_MD, 0, DML_SLOT_DST, 0, NULL);
	}
	return r.status == DNNL_SUCCESS ? dml_plan_create(p) : r;
}

dml_result dml_reorder_plan(dml_engine *e, const dml_desc *dst, const dml_desc *src, dml_plan **out) {
	dml_plan *p = *out = dml_plan_new(e);
	if (p == NULL) {
		return dml_fail(DNNL_OUT_OF_MEMORY, "allocating the plan");
	}
	return planned(p, reorder_plan(p, dst, src));
}

dml_result dml_reorder_run(dml_plan *p, float *dst, const float *src) {
	return dml_plan_run(p, (void *[]){(void *)src, dst});
}

// --- fully connected layer --------------------------------------------------------

// gemm sets the row-major c[m, n] = op(a) op(b), whose rows are ldc apart.
static dml_result gemm(dml_engine *e, char transa, char transb, int64_t m, int64_t n, int64_t k, const float *a,
	int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc) {
	dml_enter(e);
	int s = e->lib->sgemm(transa, transb, m, n, k, 1, a, lda, b, ldb, 0, c, ldc);
	return s == DNNL_SUCCESS ? dml_ok() : dml_fail(s, "multiplying matrices");
}

dml_result dml_multiply_transposed(dml_engine *e, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
	float *c, int64_t ldc) {
	return gemm(e, 'N', 'T', m, n, k, a, k, b, k, c, ldc);
}

dml_result dml_dense_forward(dml_engine *e, int64_t batch, int64_t in, int64_t out, float *dst, const float *src,
	const float *weights, const float *bias) {
	dml_result r = gemm(e, 'N', 'T', batch, out, in, src, in, weights, in, dst, out);
	for (int64_t i = 0; r.status == DNNL_SUCCESS && bias != NULL && i < batch; i++) {
		e->lib->loops->add(out, dst + i * out, dst + i * out, bias);
	}
	return r;
}

dml_result dml_dense_backward_data(dml_engine *e, int64_t batch, int64_t in, int64_t out, float *dsrc,
	const float *ddst, const float *weights) {
	return gemm(e, 'N', 'N', batch, in, out, ddst, out, weights, in, dsrc, in);
}

dml_result dml_dense_backward_weights(dml_engine *e, int64_t batch, int64_t in, int64_t out, float *dweights,
	float *dbias, const float *src, const float *ddst) {
	dml_result r = gemm(e, 'T', 'N', out, in, batch, ddst, out, src, in, dweights, in);
	if (r.status == DNNL_SUCCESS && dbias != NULL) {
		memset(dbias, 0, (size_t)out * sizeof(float));
		for (int64_t i = 0; i < batch; i++) {
			e->lib->loops->add(out, dbias, dbias, ddst + i * out);
		}
	}
	return r;
}
