// The inner loops of winograd.h. Included once for each instruction set, with
// LANES and TARGET as for lanes.h, and
//
//	WINOGRAD  the name of the table to define
//	TILES     tiles that one product keeps in registers
//	INPUTS    input channels that one gradient keeps in registers

#include "lanes.h"
#include "winograd.h"

// UNROLL keeps arrays of lanes in registers: left as loops, they go to memory.
#define UNROLL _Pragma("GCC unroll 16")

enum { POINTS = DML_WINOGRAD_POINTS, SIDE = 6, OUT = 4, TAPS = 3 };

// A tile's place: image, row and column of tiles.
typedef struct {
	int64_t image, row, col;
} place;

INLINE place place_of(const dml_tiling *t, int64_t tile) {
	return (place){tile / (t->rows * t->cols), tile / t->cols % t->rows, tile % t->cols};
}

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// tiles_of returns how many tiles a group has; the last may be short.
INLINE int64_t tiles_of(const dml_tiling *t, int64_t group) {
	return least(t->group, t->images * t->rows * t->cols - group * t->group);
}

// --- transforms of one line -----------------------------------------------------

// from_input is B'.
INLINE void from_input(const lanes d[SIDE], lanes v[SIDE]) {
	lanes a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = d[3] - d[1];
	v[0] = 4 * d[0] - 5 * d[2] + d[4];
	v[1] = a + b;
	v[2] = a - b;
	v[3] = c + 2 * e;
	v[4] = c - 2 * e;
	v[5] = 4 * d[1] - 5 * d[3] + d[5];
}

// to_output is A'.
INLINE void to_output(const lanes m[SIDE], lanes y[OUT]) {
	lanes a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
	y[0] = m[0] + a + c;
	y[1] = b + 2 * e;
	y[2] = a + 4 * c;
	y[3] = b + 8 * e + m[5];
}

// from_output is A.
INLINE void from_output(const lanes y[OUT], lanes m[SIDE]) {
	lanes a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4 * y[2], e = 2 * y[1] + 8 * y[3];
	m[0] = y[0];
	m[1] = a + b;
	m[2] = a - b;
	m[3] = c + e;
	m[4] = c - e;
	m[5] = y[3];
}

// from_kernel is G.
INLINE void from_kernel(const lanes g[TAPS], lanes u[SIDE]) {
	lanes a = -(g[0] + g[2]) * (1 / 6.f), b = g[1] * (1 / 6.f);
	lanes c = g[0] * (1 / 24.f) + g[2] * (1 / 6.f), e = g[1] * (1 / 12.f);
	u[0] = g[0] * 0.25f;
	u[1] = a - b;
	u[2] = a + b;
	u[3] = c + e;
	u[4] = c - e;
	u[5] = g[2];
}

// to_kernel is G'.
INLINE void to_kernel(const lanes u[SIDE], lanes g[TAPS]) {
	lanes a = u[1] + u[2], b = u[2] - u[1], c = u[3] + u[4], e = u[3] - u[4];
	g[0] = u[0] * 0.25f - a * (1 / 6.f) + c * (1 / 24.f);
	g[1] = b * (1 / 6.f) + e * (1 / 12.f);
	g[2] = (c - a) * (1 / 6.f) + u[5];
}

// --- transforms of one tile of a block of channels --------------------------------

// input_tile reads 6x6 pixels, rows apart by row, and stores its points apart by
// stride.
TARGET static void input_tile(float *v, int64_t stride, const float *src, int64_t row) {
	lanes half[SIDE][SIDE];
	UNROLL for (int x = 0; x < SIDE; x++) {
		lanes d[SIDE], o[SIDE];
		UNROLL for (int y = 0; y < SIDE; y++) { d[y] = load(src + y * row + x * LANES, LANES); }
		from_input(d, o);
		UNROLL for (int y = 0; y < SIDE; y++) { half[y][x] = o[y]; }
	}
	UNROLL for (int y = 0; y < SIDE; y++) {
		lanes o[SIDE];
		from_input(half[y], o);
		UNROLL for (int x = 0; x < SIDE; x++) { store(v + (y * SIDE + x) * stride, o[x], LANES); }
	}
}

// gradient_tile is input_tile of 4x4 gradients of results.
TARGET static void gradient_tile(float *m, int64_t stride, const float *ddst, int64_t row) {
	lanes half[SIDE][OUT];
	UNROLL for (int x = 0; x < OUT; x++) {
		lanes d[OUT], o[SIDE];
		UNROLL for (int y = 0; y < OUT; y++) { d[y] = load(ddst + y * row + x * LANES, LANES); }
		from_output(d, o);
		UNROLL for (int y = 0; y < SIDE; y++) { half[y][x] = o[y]; }
	}
	UNROLL for (int y = 0; y < SIDE; y++) {
		lanes o[SIDE];
		from_output(half[y], o);
		UNROLL for (int x = 0; x < SIDE; x++) { store(m + (y * SIDE + x) * stride, o[x], LANES); }
	}
}

// output_tile sets 4x4 results, rows apart by row.
TARGET static void output_tile(float *dst, int64_t row, const float *m, int64_t stride) {
	lanes half[OUT][SIDE];
	UNROLL for (int x = 0; x < SIDE; x++) {
		lanes d[SIDE], o[OUT];
		UNROLL for (int y = 0; y < SIDE; y++) { d[y] = load(m + (y * SIDE + x) * stride, LANES); }
		to_output(d, o);
		UNROLL for (int y = 0; y < OUT; y++) { half[y][x] = o[y]; }
	}
	UNROLL for (int y = 0; y < OUT; y++) {
		lanes o[OUT];
		to_output(half[y], o);
		UNROLL for (int x = 0; x < OUT; x++) { store(dst + y * row + x * LANES, o[x], LANES); }
	}
}

// cut copies the rows x cols pixels at (y, x) of an image of h x w into a whole
// tile, with zeros where the image ends.
TARGET static void cut(float *tile, int64_t rows, int64_t cols, const float *image, int64_t h, int64_t w, int64_t y,
	int64_t x) {
	for (int64_t r = 0; r < rows; r++) {
		for (int64_t c = 0; c < cols; c++) {
			int inside = y + r >= 0 && y + r < h && x + c >= 0 && x + c < w;
			lanes d = inside ? load(image + ((y + r) * w + x + c) * LANES, LANES) : (lanes){0};
			store(tile + (r * cols + c) * LANES, d, LANES);
		}
	}
}

// read_inputs transforms the tiles of a group: v is 36 matrices [group, in].
TARGET static void read_inputs(const dml_tiling *t, float *v, const float *src, int64_t group) {
	int64_t n = tiles_of(t, group), blocks = t->in / LANES;
	for (int64_t b = 0; b < blocks; b++) {
		for (int64_t i = 0; i < n; i++) {
			place p = place_of(t, group * t->group + i);
			const float *image = src + (p.image * blocks + b) * t->src_h * t->src_w * LANES;
			int64_t y = p.row * OUT - t->top, x = p.col * OUT - t->left;
			float *to = v + i * t->in + b * LANES;
			if (y >= 0 && x >= 0 && y + SIDE <= t->src_h && x + SIDE <= t->src_w) {
				input_tile(to, t->group * t->in, image + (y * t->src_w + x) * LANES, t->src_w * LANES);
			} else {
				float whole[SIDE * SIDE * LANES] __attribute__((aligned(64)));
				cut(whole, SIDE, SIDE, image, t->src_h, t->src_w, y, x);
				input_tile(to, t->group * t->in, whole, SIDE * LANES);
			}
		}
	}
}

// read_gradients transforms the gradients of a group: m is 36 matrices [group, out].
TARGET static void read_gradients(const dml_tiling *t, float *m, const float *ddst, int64_t group) {
	int64_t n = tiles_of(t, group), blocks = t->out / LANES;
	for (int64_t b = 0; b < blocks; b++) {
		for (int64_t i = 0; i < n; i++) {
			place p = place_of(t, group * t->group + i);
			const float *image = ddst + (p.image * blocks + b) * t->dst_h * t->dst_w * LANES;
			int64_t y = p.row * OUT, x = p.col * OUT;
			float *to = m + i * t->out + b * LANES;
			if (y + OUT <= t->dst_h && x + OUT <= t->dst_w) {
				gradient_tile(to, t->group * t->out, image + (y * t->dst_w + x) * LANES,
					t->dst_w * LANES);
			} else {
				float whole[OUT * OUT * LANES] __attribute__((aligned(64)));
				cut(whole, OUT, OUT, image, t->dst_h, t->dst_w, y, x);
				gradient_tile(to, t->group * t->out, whole, OUT * LANES);
			}
		}
	}
}

// finish stores rows x cols results of a whole tile, by the epilogue.
TARGET static void finish(float *dst, int64_t row, const float *tile, int64_t rows, int64_t cols, const dml_epilogue *e,
	lanes bias) {
	for (int64_t r = 0; r < rows; r++) {
		for (int64_t c = 0; c < cols; c++) {
			float *to = dst + r * row + c * LANES;
			lanes y = load(tile + (r * OUT + c) * LANES, LANES) + bias;
			if (e->sum) {
				y += load(to, LANES);
			}
			if (e->act) {
				y = clip_lanes(y, all(e->lo), all(e->hi));
			}
			store(to, y, LANES);
		}
	}
}

// write_outputs sets the results of a group from m, 36 matrices [group, out].
TARGET static void write_outputs(const dml_tiling *t, float *dst, const float *m, int64_t group, const dml_epilogue *e) {
	int64_t n = tiles_of(t, group), blocks = t->out / LANES, row = t->dst_w * LANES;
	int plain = e->bias == NULL && !e->sum && !e->act;
	for (int64_t b = 0; b < blocks; b++) {
		lanes bias = e->bias != NULL ? load(e->bias + b * LANES, LANES) : (lanes){0};
		for (int64_t i = 0; i < n; i++) {
			place p = place_of(t, group * t->group + i);
			int64_t y = p.row * OUT, x = p.col * OUT;
			int64_t rows = least(OUT, t->dst_h - y), cols = least(OUT, t->dst_w - x);
			float *to = dst + ((p.image * blocks + b) * t->dst_h + y) * row + x * LANES;
			const float *from = m + i * t->out + b * LANES;
			if (plain && rows == OUT && cols == OUT) {
				output_tile(to, row, from, t->group * t->out);
			} else {
				float whole[OUT * OUT * LANES] __attribute__((aligned(64)));
				output_tile(whole, OUT * LANES, from, t->group * t->out);
				finish(to, row, whole, rows, cols, e, bias);
			}
		}
	}
}

// --- products ---------------------------------------------------------------------

// WIDE blocks of output channels are multiplied together where they divide the
// output: each input value is then read half as often.
enum { WIDE = 2 };

INLINE int wide(const dml_tiling *t) { return t->out % (WIDE * LANES) == 0 ? WIDE : 1; }

// MULTIPLY sets m of TILES tiles and BLOCKS blocks of output channels to the
// product of v [TILES, in] and u [in, BLOCKS * LANES].
#define MULTIPLY(name, BLOCKS) \
	TARGET static void name(float *m, int64_t out, const float *v, int64_t in, const float *u) { \
		lanes sum[TILES][BLOCKS]; \
		UNROLL for (int i = 0; i < TILES; i++) { \
			UNROLL for (int k = 0; k < BLOCKS; k++) { sum[i][k] = (lanes){0}; } \
		} \
		for (int64_t c = 0; c < in; c++) { \
			lanes w[BLOCKS]; \
			UNROLL for (int k = 0; k < BLOCKS; k++) { w[k] = load(u + (c * BLOCKS + k) * LANES, LANES); } \
			UNROLL for (int i = 0; i < TILES; i++) { \
				UNROLL for (int k = 0; k < BLOCKS; k++) { sum[i][k] += v[i * in + c] * w[k]; } \
			} \
		} \
		UNROLL for (int i = 0; i < TILES; i++) { \
			UNROLL for (int k = 0; k < BLOCKS; k++) { store(m + i * out + k * LANES, sum[i][k], LANES); } \
		} \
	}
MULTIPLY(multiply, 1)
MULTIPLY(multiply_wide, WIDE)

// accumulate adds the product of v' [INPUTS, n] and y [n, LANES] to u.
TARGET static void accumulate(float *u, const float *v, int64_t in, const float *y, int64_t out, int64_t n) {
	lanes sum[INPUTS];
	UNROLL for (int c = 0; c < INPUTS; c++) { sum[c] = load(u + c * out, LANES); }
	for (int64_t i = 0; i < n; i++) {
		lanes g = load(y + i * out, LANES);
		UNROLL for (int c = 0; c < INPUTS; c++) { sum[c] += v[i * in + c] * g; }
	}
	UNROLL for (int c = 0; c < INPUTS; c++) { store(u + c * out, sum[c], LANES); }
}

// --- passes -----------------------------------------------------------------------

// u holds, for each point, for each block (or pair of blocks) of output channels,
// a matrix [in, LANES or 2 * LANES].
TARGET static void kernels(const dml_tiling *t, float *u, const dml_kernels *g, int64_t begin, int64_t end) {
	int pair = wide(t);
	for (int64_t b = begin; b < end; b++) {
		for (int64_t c = 0; c < t->in; c++) {
			float taps[TAPS * TAPS][LANES] __attribute__((aligned(64)));
			for (int l = 0; l < LANES; l++) {
				const float *from = g->data + c * g->in + (b * LANES + l) * g->out;
				for (int i = 0; i < TAPS * TAPS; i++) {
					taps[i][l] = from[g->turned ? TAPS * TAPS - 1 - i : i];
				}
			}
			lanes half[SIDE][TAPS];
			for (int x = 0; x < TAPS; x++) {
				lanes d[TAPS], o[SIDE];
				for (int y = 0; y < TAPS; y++) {
					d[y] = load(taps[y * TAPS + x], LANES);
				}
				from_kernel(d, o);
				for (int y = 0; y < SIDE; y++) {
					half[y][x] = o[y];
				}
			}
			float *to = u + ((b / pair) * t->in + c) * pair * LANES + (b % pair) * LANES;
			for (int y = 0; y < SIDE; y++) {
				lanes o[SIDE];
				from_kernel(half[y], o);
				for (int x = 0; x < SIDE; x++) {
					store(to + (y * SIDE + x) * t->in * t->out, o[x], LANES);
				}
			}
		}
	}
}

TARGET static void forward(const dml_tiling *t, float *dst, const float *src, const float *u, const dml_epilogue *e,
	float *scratch, int64_t begin, int64_t end) {
	float *v = scratch, *m = scratch + POINTS * t->group * t->in;
	int64_t width = wide(t) * LANES;
	for (int64_t g = begin; g < end; g++) {
		int64_t n = tiles_of(t, g);
		read_inputs(t, v, src, g);
		for (int64_t p = 0; p < POINTS; p++) {
			for (int64_t o = 0; o < t->out; o += width) {
				// Rows past n hold what they held: no result is made of them.
				for (int64_t i = 0; i < n; i += TILES) {
					float *to = m + (p * t->group + i) * t->out + o;
					const float *from = v + (p * t->group + i) * t->in;
					const float *by = u + (p * t->out + o) * t->in;
					if (width > LANES) {
						multiply_wide(to, t->out, from, t->in, by);
					} else {
						multiply(to, t->out, from, t->in, by);
					}
				}
			}
		}
		write_outputs(t, dst, m, g, e);
	}
}

TARGET static void products(const dml_tiling *t, float *du, const float *src, const float *ddst, float *scratch,
	int64_t begin, int64_t end) {
	float *v = scratch, *m = scratch + POINTS * t->group * t->in;
	memset(du, 0, (size_t)(POINTS * t->in * t->out) * sizeof(float));
	for (int64_t g = begin; g < end; g++) {
		int64_t n = tiles_of(t, g);
		read_inputs(t, v, src, g);
		read_gradients(t, m, ddst, g);
		for (int64_t p = 0; p < POINTS; p++) {
			for (int64_t o = 0; o < t->out; o += LANES) {
				for (int64_t c = 0; c < t->in; c += INPUTS) {
					accumulate(du + (p * t->in + c) * t->out + o, v + p * t->group * t->in + c, t->in,
						m + p * t->group * t->out + o, t->out, n);
				}
			}
		}
	}
}

TARGET static void gradient(const dml_tiling *t, float *dweights, const float *du, int n, int64_t begin, int64_t end) {
	int64_t matrix = t->in * t->out;
	for (int64_t c = begin; c < end; c++) {
		for (int64_t o = 0; o < t->out; o += LANES) {
			lanes half[TAPS][SIDE];
			for (int x = 0; x < SIDE; x++) {
				lanes d[SIDE], g[TAPS];
				for (int y = 0; y < SIDE; y++) {
					const float *from = du + (y * SIDE + x) * matrix + c * t->out + o;
					d[y] = load(from, LANES);
					for (int i = 1; i < n; i++) {
						d[y] += load(from + i * POINTS * matrix, LANES);
					}
				}
				to_kernel(d, g);
				for (int y = 0; y < TAPS; y++) {
					half[y][x] = g[y];
				}
			}
			for (int y = 0; y < TAPS; y++) {
				lanes g[TAPS];
				to_kernel(half[y], g);
				for (int x = 0; x < TAPS; x++) {
					for (int l = 0; l < LANES; l++) {
						dweights[((o + l) * t->in + c) * TAPS * TAPS + y * TAPS + x] = g[x][l];
					}
				}
			}
		}
	}
}

const dml_winograd_loops WINOGRAD = {
	.lanes = LANES,
	.tiles = TILES,
	.kernels = kernels,
	.forward = forward,
	.products = products,
	.gradient = gradient,
};
