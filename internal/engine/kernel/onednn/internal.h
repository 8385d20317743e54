// Declarations shared by the C files of package onednn.

#ifndef DML_INTERNAL_H
#define DML_INTERNAL_H

#include "loops.h"
#include "shim.h"

// --- oneDNN's C API, as far as it is used ---------------------------------
//
// Values are those of oneDNN's dnnl_types.h; they are the same in versions 2
// and 3 unless a table in desc.c says otherwise.

enum {
	DNNL_RUNTIME_SEQ = 1,
	DNNL_RUNTIME_OMP = 2,

	DNNL_BF16 = 2,
	DNNL_F32 = 3,
	DNNL_ENGINE_CPU = 1,
	DNNL_STREAM_IN_ORDER = 1,
	DNNL_SCRATCHPAD_USER = 1,

	DNNL_FORWARD_TRAINING = 64,
	DNNL_FORWARD_INFERENCE = 96,

	DNNL_CONVOLUTION_DIRECT = 1,
	DNNL_CONVOLUTION_WINOGRAD = 2,
	DNNL_POOLING_MAX = 0x1ff,
	DNNL_POOLING_AVG_INCLUDE_PADDING = 0x2ff,
	DNNL_POOLING_AVG_EXCLUDE_PADDING = 0x3ff,

	DNNL_QUERY_IMPL_INFO_STR = 8,
	DNNL_QUERY_SRC_MD = 129,
	DNNL_QUERY_DIFF_SRC_MD = 130,
	DNNL_QUERY_WEIGHTS_MD = 131,
	DNNL_QUERY_DIFF_WEIGHTS_MD = 132,
	DNNL_QUERY_DST_MD = 133,
	DNNL_QUERY_DIFF_DST_MD = 134,
	DNNL_QUERY_WORKSPACE_MD = 135,
	DNNL_QUERY_SCRATCHPAD_MD = 136,

	DNNL_ARG_SRC = 1,
	DNNL_ARG_DST = 17,
	DNNL_ARG_WEIGHTS = 33,
	DNNL_ARG_BIAS = 41,
	DNNL_ARG_WORKSPACE = 64,
	DNNL_ARG_SCRATCHPAD = 80,
	DNNL_ARG_DIFF_SRC = 129,
	DNNL_ARG_DIFF_DST = 145,
	DNNL_ARG_DIFF_WEIGHTS = 161,
	DNNL_ARG_DIFF_BIAS = 169,
};

// dnnl_version_t
typedef struct {
	int major, minor, patch;
	const char *hash;
	unsigned cpu_runtime, gpu_runtime;
} dnnl_version;

// dnnl_exec_arg_t
typedef struct {
	int arg;
	void *memory;
} dnnl_arg;

// Functions of the same signature in both versions. Handles and memory
// descriptors are plain pointers here.
#define DNNL_COMMON(F) \
	F(int, engine_create, (void **engine, int kind, size_t index)) \
	F(int, engine_destroy, (void *engine)) \
	F(int, stream_create, (void **stream, void *engine, unsigned flags)) \
	F(int, stream_wait, (void *stream)) \
	F(int, stream_destroy, (void *stream)) \
	F(int, primitive_attr_create, (void **attr)) \
	F(int, primitive_attr_set_scratchpad_mode, (void *attr, int mode)) \
	F(int, primitive_attr_set_post_ops, (void *attr, const void *post_ops)) \
	F(int, primitive_attr_destroy, (void *attr)) \
	F(int, post_ops_create, (void **post_ops)) \
	F(int, post_ops_destroy, (void *post_ops)) \
	F(int, reorder_primitive_desc_create, (void **pd, const void *src, void *src_engine, \
		const void *dst, void *dst_engine, const void *attr)) \
	F(const void *, primitive_desc_query_md, (const void *pd, int what, int index)) \
	F(int, primitive_desc_query, (const void *pd, int what, int index, void *result)) \
	F(int, primitive_desc_destroy, (void *pd)) \
	F(int, primitive_create, (void **primitive, const void *pd)) \
	F(int, primitive_execute, (const void *primitive, void *stream, int nargs, const dnnl_arg *args)) \
	F(int, primitive_destroy, (void *primitive)) \
	F(int, memory_create, (void **memory, const void *md, void *engine, void *handle)) \
	F(int, memory_set_data_handle, (void *memory, void *handle)) \
	F(int, memory_destroy, (void *memory)) \
	F(size_t, memory_desc_get_size, (const void *md)) \
	F(int, memory_desc_equal, (const void *a, const void *b)) \
	F(int, get_effective_cpu_isa, (void)) \
	F(int, sgemm, (char transa, char transb, int64_t m, int64_t n, int64_t k, float alpha, \
		const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc))

// Version 2: descriptors are structs, which the library fills.
#define DNNL_V2(F) \
	F(int, post_ops_append_sum, (void *post_ops, float scale)) \
	F(int, post_ops_append_eltwise, (void *post_ops, float scale, int alg, float alpha, float beta)) \
	F(int, memory_desc_init_by_strides, (void *md, int ndims, const int64_t *dims, int type, \
		const int64_t *strides)) \
	F(int, memory_desc_init_by_tag, (void *md, int ndims, const int64_t *dims, int type, int tag)) \
	F(int, dilated_convolution_forward_desc_init, (void *op, int prop, int alg, const void *src, \
		const void *weights, const void *bias, const void *dst, const int64_t *strides, \
		const int64_t *dilates, const int64_t *pad_l, const int64_t *pad_r)) \
	F(int, dilated_convolution_backward_data_desc_init, (void *op, int alg, const void *diff_src, \
		const void *weights, const void *diff_dst, const int64_t *strides, \
		const int64_t *dilates, const int64_t *pad_l, const int64_t *pad_r)) \
	F(int, dilated_convolution_backward_weights_desc_init, (void *op, int alg, const void *src, \
		const void *diff_weights, const void *diff_bias, const void *diff_dst, \
		const int64_t *strides, const int64_t *dilates, const int64_t *pad_l, \
		const int64_t *pad_r)) \
	F(int, pooling_forward_desc_init, (void *op, int prop, int alg, const void *src, \
		const void *dst, const int64_t *strides, const int64_t *kernel, const int64_t *pad_l, \
		const int64_t *pad_r)) \
	F(int, pooling_backward_desc_init, (void *op, int alg, const void *diff_src, \
		const void *diff_dst, const int64_t *strides, const int64_t *kernel, \
		const int64_t *pad_l, const int64_t *pad_r)) \
	F(int, primitive_desc_create, (void **pd, const void *op, const void *attr, void *engine, \
		const void *hint))

// Version 3: descriptors are opaque handles; there is no operation descriptor.
#define DNNL_V3(F) \
	F(int, post_ops_append_sum, (void *post_ops, float scale, int32_t zero_point, int type)) \
	F(int, post_ops_append_eltwise, (void *post_ops, int alg, float alpha, float beta)) \
	F(int, memory_desc_create_with_strides, (void **md, int ndims, const int64_t *dims, int type, \
		const int64_t *strides)) \
	F(int, memory_desc_create_with_tag, (void **md, int ndims, const int64_t *dims, int type, \
		int tag)) \
	F(int, memory_desc_destroy, (void *md)) \
	F(int, convolution_forward_primitive_desc_create, (void **pd, void *engine, int prop, int alg, \
		const void *src, const void *weights, const void *bias, const void *dst, \
		const int64_t *strides, const int64_t *dilates, const int64_t *pad_l, \
		const int64_t *pad_r, const void *attr)) \
	F(int, convolution_backward_data_primitive_desc_create, (void **pd, void *engine, int alg, \
		const void *diff_src, const void *weights, const void *diff_dst, \
		const int64_t *strides, const int64_t *dilates, const int64_t *pad_l, \
		const int64_t *pad_r, const void *hint, const void *attr)) \
	F(int, convolution_backward_weights_primitive_desc_create, (void **pd, void *engine, int alg, \
		const void *src, const void *diff_weights, const void *diff_bias, \
		const void *diff_dst, const int64_t *strides, const int64_t *dilates, \
		const int64_t *pad_l, const int64_t *pad_r, const void *hint, const void *attr)) \
	F(int, pooling_forward_primitive_desc_create, (void **pd, void *engine, int prop, int alg, \
		const void *src, const void *dst, const int64_t *strides, const int64_t *kernel, \
		const int64_t *dilation, const int64_t *pad_l, const int64_t *pad_r, \
		const void *attr)) \
	F(int, pooling_backward_primitive_desc_create, (void **pd, void *engine, int alg, \
		const void *diff_src, const void *diff_dst, const int64_t *strides, \
		const int64_t *kernel, const int64_t *dilation, const int64_t *pad_l, \
		const int64_t *pad_r, const void *hint, const void *attr))

#define DML_FIELD(result, name, params) result(*name) params;

struct dml_lib {
	void *handle;
	char path[1024];
	int major, minor, patch;
	int isa;
	const dml_loops *loops;

	DNNL_COMMON(DML_FIELD)
	struct {
		DNNL_V2(DML_FIELD)
	} v2;
	struct {
		DNNL_V3(DML_FIELD)
	} v3;

	// OpenMP of the library, NULL where it has no threads.
	void (*omp_set_num_threads)(int);
	void (*omp_set_dynamic)(int);
	int (*omp_get_thread_limit)(void);
	int (*omp_get_num_threads)(void);
	int (*omp_get_thread_num)(void);
	void (*gomp_parallel)(void (*body)(void *), void *arg, unsigned threads, unsigned flags);
};

// --- desc.c: what differs between the versions ------------------------------

// dml_md is a memory descriptor: in version 2 a struct of 696 bytes that the
// library fills, in version 3 a handle.
typedef struct {
	const dml_lib *lib; // NULL when empty
	union {
		unsigned char blob[1024];
		void *handle;
		int64_t align;
	} u;
} dml_md;

// dml_md_activation describes an activation, dml_md_plain a dense row-major
// array, dml_md_any one whose layout the primitive chooses.
int dml_md_activation(const dml_lib *lib, dml_md *md, const dml_desc *d, int type);
int dml_md_plain(const dml_lib *lib, dml_md *md, int ndims, const int64_t *dims);
int dml_md_any(const dml_lib *lib, dml_md *md, int ndims, const int64_t *dims, int type);
void dml_md_free(dml_md *md);
// dml_md_ptr returns what the library's functions take; NULL when empty.
const void *dml_md_ptr(const dml_md *md);

typedef struct {
	enum dml_pass pass;
	int alg;
	const void *src, *weights, *bias, *dst; // memory descriptors
	const int64_t *stride, *dilation, *kernel, *pad_before, *pad_after;
	const void *hint; // primitive descriptor of the forward pass
} dml_op_desc;

// dml_attr creates primitive attributes: a scratchpad of ours, then, if asked for,
// the sum with what the destination held and an activation.
int dml_attr(const dml_lib *lib, int sum, int act, float lo, float hi, void **attr);

int dml_conv_pd(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd);
int dml_pool_pd(const dml_lib *lib, void *engine, const void *attr, const dml_op_desc *o, void **pd);

// --- engine.c ---------------------------------------------------------------

// Scratch buffers that all kernels of an engine share: a kernel runs alone.
enum {
	DML_SLOT_SRC,
	DML_SLOT_WEIGHTS,
	DML_SLOT_DST,
	DML_SLOT_BIAS,
	DML_SLOT_SCRATCHPAD,
	DML_SLOT_UNFINISHED, // a convolution that is to be added to its destination
	DML_SLOTS
};

struct dml_engine {
	const dml_lib *lib;
	int threads;
	void *engine, *stream, *attr;
	struct {
		float *data;
		size_t bytes;
	} slot[DML_SLOTS];
	struct dml_block *blocks; // what dml_alloc and dml_calloc handed out
	dml_plan *plans;
};

// dml_calloc returns zeroed memory that lives as long as the engine, or NULL.
void *dml_calloc(dml_engine *e, size_t bytes);
// dml_reserve grows a slot to at least the given size.
int dml_reserve(dml_engine *e, int slot, size_t bytes);
// dml_enter makes the OpenMP settings of this OS thread those of the engine.
void dml_enter(const dml_engine *e);

// dml_parallel splits [0, n) evenly over the threads of the engine.
typedef void dml_body(void *arg, int64_t begin, int64_t end);
void dml_parallel(const dml_engine *e, int64_t n, dml_body *body, void *arg);

static inline dml_result dml_ok(void) {
	return (dml_result){DNNL_SUCCESS, ""};
}

static inline dml_result dml_fail(int status, const char *step) {
	return (dml_result){status, step};
}

#endif
