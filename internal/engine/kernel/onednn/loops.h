// Inner loops of our own, compiled once for each instruction set.
//
// All layouts are seen in one way: as segments, each a run of rows of at most
// L values, the lanes of a vector register, in which a lane always belongs to the
// same channel. L is 16, 8 or 4 with the instruction set:
//
//	layout            segment                            row
//	NCHW              one plane                          L pixels of one channel
//	NHWC              L channels of one image            one pixel
//	blocks of b >= L  L channels of a block of an image  one pixel
//	blocks of b < L   one block of one image             L/b pixels
//
// So one loop serves every layout, and what varies by channel is an array of L
// values.

#ifndef DML_LOOPS_H
#define DML_LOOPS_H

#include <stdint.h>

#include "winograd.h"

enum { DML_MAX_LANES = 16 };

typedef struct {
	int64_t rows;   // full rows
	int64_t stride; // from row to row
	int lanes;      // of a full row: fewer than L at the end of NHWC channels
	int tail;       // lanes of one last, shorter row; 0 when there is none
} dml_segment;

// dml_lanes holds what a batch normalisation needs of each lane.
typedef struct {
	float mean[DML_MAX_LANES], scale[DML_MAX_LANES], beta[DML_MAX_LANES];
	float lo[DML_MAX_LANES], hi[DML_MAX_LANES];
	// Backward: dx = scale * dy' - by_x * (x - mean) - by_one, where dy' is
	// the gradient that passes the activation.
	float by_x[DML_MAX_LANES], by_one[DML_MAX_LANES];
} dml_lanes;

// dml_mask is the mask of a dropout in one segment: kernel.MaskBits.
typedef struct {
	uint32_t low, high; // halves of the sample's key
	uint32_t threshold;
	float scale;
	uint32_t at[DML_MAX_LANES]; // index of each lane's value in the sample, in the first row
	uint32_t step;              // from row to row
} dml_mask;

typedef struct {
	int lanes; // L
	const dml_winograd_loops *winograd; // NULL where the registers are too few
	// sums sets sum to that of (x - shift) and square to that of its square.
	void (*sums)(const dml_segment *s, const float *x, const float *shift, float *sum, float *square);
	// norm sets y = clip((x - mean) * scale + beta).
	void (*norm)(const dml_segment *s, float *y, const float *x, const dml_lanes *p);
	// add_norm sets y = clip((x - mean) * scale + beta + y).
	void (*add_norm)(const dml_segment *s, float *y, const float *x, const dml_lanes *p);
	// norm_sums sums the gradients dy' that pass the activation, and dy' * (x - mean).
	void (*norm_sums)(const dml_segment *s, const float *dy, const float *x, const dml_lanes *p,
		float *sum, float *product);
	void (*norm_backward)(const dml_segment *s, float *dx, const float *dy, const float *x,
		const dml_lanes *p);
	// fill sets every row to v.
	void (*fill)(const dml_segment *s, float *y, const float *v);
	// dropout sets y to x * scale where the mask keeps x and to 0 elsewhere.
	void (*dropout)(const dml_segment *s, float *y, const float *x, const dml_mask *m);

	// scale sets y = x * v.
	void (*scale)(const dml_segment *s, float *y, const float *x, const float *v);
	// products sums a * b.
	void (*products)(const dml_segment *s, const float *a, const float *b, float *sum);

	// max returns the largest of n > 0 values.
	float (*max)(int64_t n, const float *x);
	// exp_sum sets y, unless it is NULL, to exp(x - shift) and returns their sum.
	// No x is larger than the shift, but for rounding. y may be x.
	double (*exp_sum)(int64_t n, float *y, const float *x, float shift);

	void (*add)(int64_t n, float *y, const float *a, const float *b);
	void (*add_clip)(int64_t n, float *y, const float *a, const float *b, float lo, float hi);
	void (*clip)(int64_t n, float *y, const float *x, float lo, float hi);
	// clip_backward sets dx to dy where lo < y < hi and to 0 elsewhere.
	void (*clip_backward)(int64_t n, float *dx, const float *dy, const float *y, float lo, float hi);
	void (*multiply)(int64_t n, float *y, const float *a, const float *b);
	// sigmoid sets y = 1/(1+exp(-x)), hard_sigmoid y = min(max(x/6 + 1/2, 0), 1).
	void (*sigmoid)(int64_t n, float *y, const float *x);
	void (*sigmoid_backward)(int64_t n, float *dx, const float *dy, const float *y);
	void (*hard_sigmoid)(int64_t n, float *y, const float *x);
	// hard_sigmoid_backward sets dx to dy/6 where 0 < y < 1 and to 0 elsewhere.
	void (*hard_sigmoid_backward)(int64_t n, float *dx, const float *dy, const float *y);
} dml_loops;

extern const dml_loops dml_loops_base;
#if defined(__x86_64__)
extern const dml_loops dml_loops_avx2;
extern const dml_loops dml_loops_avx512;
#endif

// dml_loops_for returns the loops for a dnnl_cpu_isa_t, so that a limit set
// with ONEDNN_MAX_CPU_ISA holds for them too.
const dml_loops *dml_loops_for(int isa);

#endif
