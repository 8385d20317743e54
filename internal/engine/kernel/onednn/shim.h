// The C side of package onednn: what Go calls. See doc.go for the design.

#ifndef DML_SHIM_H
#define DML_SHIM_H

#include <stddef.h>
#include <stdint.h>

// dnnl_status_t, as far as it is told apart.
enum {
	DNNL_SUCCESS = 0,
	DNNL_OUT_OF_MEMORY = 1,
	DNNL_INVALID_ARGUMENTS = 2,
	DNNL_UNIMPLEMENTED = 3,
};

// dnnl_cpu_isa_t is a set of bits: a newer instruction set holds those of the
// older ones.
enum {
	DML_ISA_SSE41 = 0x1,
	DML_ISA_AVX = 0x3,
	DML_ISA_AVX2 = 0x7,
	DML_ISA_AVX512_CORE = 0x27,
	DML_ISA_AVX512_BF16 = 0xe7,
};

// dml_result is the outcome of a call. Status is a dnnl_status_t; step says what
// was being done, in words.
typedef struct {
	int status;
	const char *step;
} dml_result;

typedef struct dml_lib dml_lib;
typedef struct dml_engine dml_engine;
typedef struct dml_plan dml_plan;
typedef struct dml_norm dml_norm;
typedef struct dml_copy dml_copy;
typedef struct dml_finish dml_finish;

// dml_layout has the values of kernel.Layout.
enum dml_layout { DML_NCHW, DML_NHWC, DML_NCHW8C, DML_NCHW16C };

// dml_desc is kernel.Desc.
typedef struct {
	int64_t n, c, h, w;
	int layout;
} dml_desc;

// --- load.c: the library -------------------------------------------------

// dml_load opens the library at path. On failure it returns NULL and writes
// the reason to err.
dml_lib *dml_load(const char *path, char *err, size_t errlen);
const char *dml_lib_path(const dml_lib *lib);
void dml_lib_version(const dml_lib *lib, int *major, int *minor, int *patch);
// dml_lib_isa returns the dnnl_cpu_isa_t that the library's kernels use.
int dml_lib_isa(const dml_lib *lib);
// dml_lib_winograd_lanes returns the block of channels of our Winograd kernels, 0
// where there are none.
int dml_lib_winograd_lanes(const dml_lib *lib);
const char *dml_status_name(int status);

// --- engine.c: memory and threads of one student --------------------------

dml_result dml_engine_new(dml_lib *lib, int threads, dml_engine **out);
// dml_engine_free frees the engine and everything planned or allocated on it.
void dml_engine_free(dml_engine *e);
// dml_alloc returns n zeroed floats that live as long as the engine, or NULL.
float *dml_alloc(dml_engine *e, int64_t n);

// --- kernels.c: kernels that oneDNN computes -------------------------------

enum dml_pass { DML_FORWARD, DML_INFERENCE, DML_BACKWARD_DATA, DML_BACKWARD_WEIGHTS };

// DML_WINOGRAD is our own, for 3x3 kernels of stride 1 on blocks of lanes
// channels; DML_WINOGRAD_LIBRARY is oneDNN's where it has one, else direct.
enum dml_algorithm { DML_DIRECT, DML_WINOGRAD, DML_WINOGRAD_LIBRARY };

typedef struct {
	dml_desc src, dst;
	int64_t kernel[2], stride[2], dilation[2]; // dilation 1 is dense
	int64_t pad_before[2], pad_after[2];
	int64_t groups;
	int bias;
	enum dml_algorithm algorithm;
	int bfloat16; // multiply in bfloat16
	int sum; // add to dst
	int act; // limit the result to [lo, hi]
	float lo, hi;
} dml_conv_geometry;

// dml_conv_plan plans one pass of a convolution. hint is oneDNN's plan of the
// forward pass; NULL for that itself and for our own algorithm. With sum or act
// it fails where oneDNN cannot do them in the convolution, in the caller's
// layouts and fast.
dml_result dml_conv_plan(dml_engine *e, const dml_conv_geometry *g, enum dml_pass pass,
	const dml_plan *hint, dml_plan **out);
// dml_conv_plan_mirrored plans the forward pass of a convolution of stride 1,
// without groups and bias, as the data gradient of the convolution in the other
// direction, which computes the same.
dml_result dml_conv_plan_mirrored(dml_engine *e, const dml_conv_geometry *g, dml_plan **out);
dml_result dml_conv_forward(dml_plan *p, float *dst, const float *src, const float *weights,
	const float *bias);
// dml_conv_forward_finished runs p, a convolution without bias, sum and activation,
// and then f, which does them.
dml_result dml_conv_forward_finished(dml_plan *p, dml_finish *f, float *dst, const float *src,
	const float *weights, const float *bias);
dml_result dml_conv_backward_data(dml_plan *p, float *dsrc, const float *ddst, const float *weights);
// dbias may be NULL.
dml_result dml_conv_backward_weights(dml_plan *p, float *dweights, float *dbias, const float *src,
	const float *ddst);

typedef struct {
	dml_desc src, dst;
	int64_t kernel[2], stride[2];
	int64_t pad_before[2], pad_after[2];
	int max, count_pad;
} dml_pool_geometry;

dml_result dml_pool_plan(dml_engine *e, const dml_pool_geometry *g, enum dml_pass pass,
	const dml_plan *hint, dml_plan **out);
dml_result dml_pool_forward(dml_plan *p, float *dst, const float *src);
// forward is the plan of the forward pass: it holds the winners.
dml_result dml_pool_backward(dml_plan *p, const dml_plan *forward, float *dsrc, const float *ddst);

dml_result dml_reorder_plan(dml_engine *e, const dml_desc *dst, const dml_desc *src, dml_plan **out);
dml_result dml_reorder_run(dml_plan *p, float *dst, const float *src);

// dml_plan_implementation names what computes a plan.
const char *dml_plan_implementation(const dml_plan *p);

// dml_multiply_transposed sets c, m rows of n values that are ldc apart, to a bT, with
// a[m, k] and b[n, k].
dml_result dml_multiply_transposed(dml_engine *e, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
	float *c, int64_t ldc);

// A fully connected layer of weights [out, in]. bias and dbias may be NULL.
dml_result dml_dense_forward(dml_engine *e, int64_t batch, int64_t in, int64_t out, float *dst,
	const float *src, const float *weights, const float *bias);
dml_result dml_dense_backward_data(dml_engine *e, int64_t batch, int64_t in, int64_t out, float *dsrc,
	const float *ddst, const float *weights);
dml_result dml_dense_backward_weights(dml_engine *e, int64_t batch, int64_t in, int64_t out,
	float *dweights, float *dbias, const float *src, const float *ddst);

// --- finish.c, norm.c, pointwise.c, gate.c, copy.c, softmax.c: kernels of our own ---

// dml_finish_plan plans what follows the bare convolution of a geometry: its
// bias, sum and activation. The outcome is NULL without memory.
dml_finish *dml_finish_plan(dml_engine *e, const dml_conv_geometry *g);

// dml_norm_plan plans a batch normalisation; training is 0 where only
// dml_norm_infer is called.
dml_norm *dml_norm_plan(dml_engine *e, const dml_desc *d, float epsilon, int training, int act, float lo, float hi);
void dml_norm_forward(dml_norm *b, float *dst, const float *src, const float *gamma, const float *beta);
void dml_norm_infer(dml_norm *b, float *dst, const float *src, const float *gamma, const float *beta,
	const float *mean, const float *variance);
void dml_norm_backward(dml_norm *b, float *dsrc, float *dgamma, float *dbeta, const float *ddst,
	const float *src);
// dml_norm_update mixes the statistics of the last forward into running ones.
void dml_norm_update(const dml_norm *b, float momentum, float *mean, float *variance);

// dml_add sets dst = clip(a + b), without a clip when act is 0.
void dml_add(dml_engine *e, int64_t n, float *dst, const float *a, const float *b, int act, float lo,
	float hi);
void dml_clip(dml_engine *e, int64_t n, float *dst, const float *src, float lo, float hi);
// dml_clip_backward sets dsrc to ddst where lo < dst < hi and to 0 elsewhere.
void dml_clip_backward(dml_engine *e, int64_t n, float *dsrc, const float *ddst, const float *dst,
	float lo, float hi);
void dml_copy_flat(dml_engine *e, int64_t n, float *dst, const float *src);

// dml_sigmoid keeps channel padding zero, as its backward pass does by itself.
void dml_sigmoid(dml_engine *e, const dml_desc *desc, int hard, float *dst, const float *src);
void dml_sigmoid_backward(dml_engine *e, int64_t n, int hard, float *dsrc, const float *ddst, const float *dst);
void dml_multiply(dml_engine *e, int64_t n, float *dst, const float *a, const float *b);
// dml_gate multiplies each channel of src by a factor, [n, c]; dml_gate_backward
// sets the factors' gradient.
void dml_gate(dml_engine *e, const dml_desc *desc, float *dst, const float *src, const float *factor);
void dml_gate_backward(dml_engine *e, const dml_desc *desc, float *dfactor, const float *ddst, const float *src);

// dml_mean sets dst[n, c] to the mean of src over H and W.
void dml_mean(dml_engine *e, const dml_desc *src_desc, float *dst, const float *src);
void dml_mean_backward(dml_engine *e, const dml_desc *src_desc, float *dsrc, const float *ddst);

// dml_softmax computes the softmax of rows, or its logarithm.
void dml_softmax(dml_engine *e, int64_t rows, int64_t cols, int log, float *dst, const float *src);
void dml_softmax_backward(dml_engine *e, int64_t rows, int64_t cols, int log, float *dsrc, const float *ddst,
	const float *dst);

// dml_dropout sets dst to src * scale where the mask of the key keeps it, see
// kernel.MaskBits, and to 0 elsewhere.
void dml_dropout(dml_engine *e, const dml_desc *desc, float *dst, const float *src, uint64_t key,
	uint32_t threshold, float scale);

dml_copy *dml_subsample_plan(dml_engine *e, const dml_desc *dst, const dml_desc *src, int64_t stride,
	int64_t front);
// dml_concat_plan plans the piece of a concatenation that starts at channel
// front of dst. Pieces run forward in the order of their channels.
dml_copy *dml_concat_plan(dml_engine *e, const dml_desc *dst, const dml_desc *src, int64_t front);
void dml_copy_forward(dml_copy *s, float *dst, const float *src);
void dml_copy_backward(dml_copy *s, float *dsrc, const float *ddst);

#endif
