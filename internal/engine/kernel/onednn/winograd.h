// Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions of stride 1
// (Lavin and Gray, CVPR 2016): 36 multiplications for 16 results of a channel
// instead of 144.
//
// A tile is 4x4 results and the 6x6 inputs they are made of. With B, G and A the
// transforms of the paper (points 0, 1, -1, 2, -2 and infinity),
//
//	y = A' [ sum over channels of (G g G') * (B' d B) ] A
//
// where * multiplies element by element. So a convolution is 36 products of
// matrices [tiles, in] and [in, out]. The gradients are the adjoints:
//
//	dd is the convolution of dy with the kernels turned by half a turn,
//	dg = G' [ sum over tiles of (B' d B) * (A dy A') ] G
//
// Activations are in blocks of L channels, the lanes of a vector register.

#ifndef DML_WINOGRAD_H
#define DML_WINOGRAD_H

#include <stdint.h>

enum { DML_WINOGRAD_POINTS = 36 };

typedef struct {
	int64_t images, in, out;
	int64_t src_h, src_w, dst_h, dst_w;
	int64_t top, left;  // padding of src
	int64_t rows, cols; // tiles of an image
	int64_t group;      // tiles that are transformed and multiplied together
} dml_tiling;

// dml_kernels are 3x3 kernels in memory: those of input i to output o start at
// data + i * in + o * out. Turned, they are read by half a turn.
typedef struct {
	const float *data;
	int64_t in, out;
	int turned;
} dml_kernels;

// dml_epilogue changes the results before they are stored, in this order.
typedef struct {
	const float *bias; // [out], added unless NULL
	int sum;           // adds what dst holds
	int act;           // limits to [lo, hi]
	float lo, hi;
} dml_epilogue;

typedef struct {
	int lanes; // L
	int tiles; // dml_tiling.group is a multiple of it

	// kernels sets u, of 36 * in * out values, to G g G' of the blocks of output
	// channels from begin to end.
	void (*kernels)(const dml_tiling *t, float *u, const dml_kernels *g, int64_t begin, int64_t end);
	// forward computes the groups of tiles from begin to end. scratch holds 36 *
	// group * (in + out) values.
	void (*forward)(const dml_tiling *t, float *dst, const float *src, const float *u, const dml_epilogue *e,
		float *scratch, int64_t begin, int64_t end);
	// products sets du, 36 matrices [in, out], to the sums over the groups of
	// tiles from begin to end.
	void (*products)(const dml_tiling *t, float *du, const float *src, const float *ddst, float *scratch,
		int64_t begin, int64_t end);
	// gradient adds up n such du, which lie one after the other, and sets the
	// gradient [out, in, 3, 3] of the input channels from begin to end.
	void (*gradient)(const dml_tiling *t, float *dweights, const float *du, int n, int64_t begin, int64_t end);
} dml_winograd_loops;

#if defined(__x86_64__)
extern const dml_winograd_loops dml_winograd_avx2;
extern const dml_winograd_loops dml_winograd_avx512;
#endif

#endif
