//go:build cgo && (linux || darwin)

// Memory and primitive descriptors: all that differs between oneDNN 2 and 3.

#include <math.h>
#include <string.h>

#include "internal.h"

// Format tags of the blocked layouts (dnnl_aBcd8b and dnnl_aBcd16b); version 3
// numbers the tags anew. dml_load checks them by reordering a tensor. Plain
// layouts are described by their strides and need no tag.
enum {
	TAG_ANY = 1,
	V2_TAG_ABCD8B = 93,
	V2_TAG_ABCD16B = 69,
	V3_TAG_ABCD8B = 102,
	V3_TAG_ABCD16B = 78,
};

// Activations (dnnl_alg_kind_t), numbered anew in version 3 too.
enum {
	V2_ELTWISE_RELU = 0x1f,
	V2_ELTWISE_CLIP = 0xff,
	V3_ELTWISE_RELU = 0x20,
	V3_ELTWISE_CLIP = 0x2e,
};

// A version 2 operation descriptor is a struct that the library fills from its
// arguments (the largest used here, of a convolution, has 5,976 bytes).
typedef union {
	unsigned char blob[16384];
	int64_t align;
} v2_op;

static int md_by_tag(const dml_lib *lib, dml_md *md, int ndims, const int64_t *dims, int type, int tag) {
	memset(md, 0, sizeof *md);
	int s = lib->major == 2
		? lib->v2.memory_desc_init_by_tag(md->u.blob, ndims, dims, type, tag)
		: lib->v3.memory_desc_create_with_tag(&md->u.handle, ndims, dims, type, tag);
	md->lib = s == DNNL_SUCCESS ? lib : NULL;
	return s;
}

static int md_by_strides(const dml_lib *lib, dml_md *md, int ndims, const int64_t *dims, int type,
	const int64_t *strides) {
	memset(md, 0, sizeof *md);
	int s = lib->major == 2
		? lib->v2.memory_desc_init_by_strides(md->u.blob, ndims, dims, type, strides)
		: lib->v3.memory_desc_create_with_strides(&md->u.handle, ndims, dims, type, strides);
	md->lib = s == DNNL_SUCCESS ? lib : NULL;
	return s;
}

int dml_md_plain(const dml_lib *lib, dml_md *md, int ndims, const int64_t *dims) {
	int64_t strides[12];
	int64_t stride = 1;
	for (int i = ndims - 1; i >= 0; i--) {
		strides[i] = stride;
		stride *= dims[i];
	}
	return md_by_strides(lib, md, ndims, dims, DNNL_F32, strides);
}

int dml_md_any(const dml_lib *lib, dml_md *md, int ndims, const int64_t *dims, int type) {
	return md_by_tag(lib, md, ndims, dims, type, TAG_ANY);
}

int dml_md_activation(const dml_lib *lib, dml_md *md, const dml_desc *d, int type) {
	const int64_t dims[4] = {d->n, d->c, d->h, d->w};
	switch (d->layout) {
	case DML_NCHW8C:
		return md_by_tag(lib, md, 4, dims, type, lib->major == 2 ? V2_TAG_ABCD8B : V3_TAG_ABCD8B);
	case DML_NCHW16C:
		return md_by_tag(lib, md, 4, dims, type, lib->major == 2 ? V2_TAG_ABCD16B : V3_TAG_ABCD16B);
	case DML_NHWC: {
		const int64_t strides[4] = {d->h * d->w * d->c, 1, d->w * d->c, d->c};
		return md_by_strides(lib, md, 4, dims, type, strides);
	}
	}
	const int64_t strides[4] = {d->c * d->h * d->w, d->h * d->w, d->w, 1};
	return md_by_strides(lib, md, 4, dims, type, strides);
}

void dml_md_free(dml_md *md) {
	if (md->lib != NULL && md->lib->major == 3) {
		md->lib->v3.memory_desc_destroy(md->u.handle);
	}
	md->lib = NULL;
}

const void *dml_md_ptr(const dml_md *md) {
	if (md->lib == NULL) {
		return NULL;
	}
	return md->lib->major == 2 ? (const void *)md->u.blob : md->u.handle;
}

static int post_ops(const dml_lib *lib, int sum, int act, float lo, float hi, void *ops) {
	int s = DNNL_SUCCESS;
	if (sum) {
		s = lib->major == 2 ? lib->v2.post_ops_append_sum(ops, 1)
				    : lib->v3.post_ops_append_sum(ops, 1, 0, DNNL_F32);
	}
	if (s != DNNL_SUCCESS || !act) {
		return s;
	}
	int relu = lo == 0 && hi == INFINITY;
	if (lib->major == 2) {
		return lib->v2.post_ops_append_eltwise(ops, 1, relu ? V2_ELTWISE_RELU : V2_ELTWISE_CLIP,
			relu ? 0 : lo, relu ? 0 : hi);
	}
	return lib->v3.post_ops_append_eltwise(ops, relu ? V3_ELTWISE_RELU : V3_ELTWISE_CLIP, relu ? 0 : lo,
		relu ? 0 : hi);
}

int dml_attr(const dml_lib *lib, int sum, int act, float lo, float hi, void **attr) {
	int s = lib->primitive_attr_create(attr);
	if (s != DNNL_SUCCESS) {
		*attr = NULL;
		return s;
	}
	s = lib->primitive_attr_set_scratchpad_mode(*attr, DNNL_SCRATCHPAD_USER);
	if (s == DNNL_SUCCESS && (sum || act)) {
		void *ops;
		s = lib->post_ops_create(&ops);
		if (s == DNNL_SUCCESS) {
			s = post_ops(lib, sum, act, lo, hi, ops);
			s = s != DNNL_SUCCESS ? s : lib->primitive_attr_set_post_ops(*attr, ops);
			lib->post_ops_destroy(ops);
		}
	}
	if (s != DNNL_SUCCESS) {
		lib->primitive_attr_destroy(*attr);
		*attr = NULL;
	}
	return s;
}

static int conv_pd_v2(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd) {
	v2_op op;
	memset(&op, 0, sizeof op);
	int s;
	switch (o->pass) {
	case DML_BACKWARD_DATA:
		s = lib->v2.dilated_convolution_backward_data_desc_init(op.blob, o->alg, o->src, o->weights,
			o->dst, o->stride, o->dilation, o->pad_before, o->pad_after);
		break;
	case DML_BACKWARD_WEIGHTS:
		s = lib->v2.dilated_convolution_backward_weights_desc_init(op.blob, o->alg, o->src,
			o->weights, o->bias, o->dst, o->stride, o->dilation, o->pad_before, o->pad_after);
		break;
	default:
		s = lib->v2.dilated_convolution_forward_desc_init(op.blob,
			o->pass == DML_FORWARD ? DNNL_FORWARD_TRAINING : DNNL_FORWARD_INFERENCE, o->alg,
			o->src, o->weights, o->bias, o->dst, o->stride, o->dilation, o->pad_before,
			o->pad_after);
	}
	return s != DNNL_SUCCESS ? s : lib->v2.primitive_desc_create(pd, op.blob, attr, engine, o->hint);
}

static int conv_pd_v3(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd) {
	switch (o->pass) {
	case DML_BACKWARD_DATA:
		return lib->v3.convolution_backward_data_primitive_desc_create(pd, engine, o->alg, o->src,
			o->weights, o->dst, o->stride, o->dilation, o->pad_before, o->pad_after, o->hint, attr);
	case DML_BACKWARD_WEIGHTS:
		return lib->v3.convolution_backward_weights_primitive_desc_create(pd, engine, o->alg, o->src,
			o->weights, o->bias, o->dst, o->stride, o->dilation, o->pad_before, o->pad_after,
			o->hint, attr);
	default:
		return lib->v3.convolution_forward_primitive_desc_create(pd, engine,
			o->pass == DML_FORWARD ? DNNL_FORWARD_TRAINING : DNNL_FORWARD_INFERENCE, o->alg,
			o->src, o->weights, o->bias, o->dst, o->stride, o->dilation, o->pad_before,
			o->pad_after, attr);
	}
}

int dml_conv_pd(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd) {
	return lib->major == 2 ? conv_pd_v2(lib, engine, attr, o, pd) : conv_pd_v3(lib, engine, attr, o, pd);
}

static int pool_pd_v2(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd) {
	v2_op op;
	memset(&op, 0, sizeof op);
	int s;
	if (o->pass == DML_BACKWARD_DATA) {
		s = lib->v2.pooling_backward_desc_init(op.blob, o->alg, o->src, o->dst, o->stride, o->kernel,
			o->pad_before, o->pad_after);
	} else {
		s = lib->v2.pooling_forward_desc_init(op.blob,
			o->pass == DML_FORWARD ? DNNL_FORWARD_TRAINING : DNNL_FORWARD_INFERENCE, o->alg,
			o->src, o->dst, o->stride, o->kernel, o->pad_before, o->pad_after);
	}
	return s != DNNL_SUCCESS ? s : lib->v2.primitive_desc_create(pd, op.blob, attr, engine, o->hint);
}

static int pool_pd_v3(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd) {
	const int64_t dense[2] = {0, 0};
	if (o->pass == DML_BACKWARD_DATA) {
		return lib->v3.pooling_backward_primitive_desc_create(pd, engine, o->alg, o->src, o->dst,
			o->stride, o->kernel, dense, o->pad_before, o->pad_after, o->hint, attr);
	}
	return lib->v3.pooling_forward_primitive_desc_create(pd, engine,
		o->pass == DML_FORWARD ? DNNL_FORWARD_TRAINING : DNNL_FORWARD_INFERENCE, o->alg, o->src,
		o->dst, o->stride, o->kernel, dense, o->pad_before, o->pad_after, attr);
}

int dml_pool_pd(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd) {
	return lib->major == 2 ? pool_pd_v2(lib, engine, attr, o, pd) : pool_pd_v3(lib, engine, attr, o, pd);
}
