//go:build cgo && (linux || darwin)

// Kernels that copy channels to another place: the subsampled shortcut and the
// pieces of a concatenation.

#include <string.h>

#include "view.h"

// channel_run is a run of values that lie together in both tensors.
typedef struct {
	int64_t src, dst; // offsets in the first image
	int64_t length;
} channel_run;

// grid is how the pixels of a tensor lie.
typedef struct {
	int64_t image, row, pixel; // strides
} grid;

// span is a part of every image.
typedef struct {
	int64_t offset, length;
} span;

struct dml_copy {
	dml_engine *e;
	grid src, dst;
	int64_t images, rows, columns, stride; // of the plane that is copied
	channel_run whole;                     // leading channels with all their pixels
	channel_run *runs;                     // the other channels, at the first pixel
	int64_t nruns;
	span clear_src, clear_dst; // set to zero before they are copied to
	float *to;
	const float *from;
};

static grid grid_of(const dml_desc *d) {
	int64_t block = dml_block(d->layout);
	grid g = {.pixel = d->layout == DML_NHWC ? d->c : block};
	g.row = g.pixel * d->w;
	g.image = (d->c + block - 1) / block * block * d->h * d->w;
	return g;
}

// channel_offset returns where channel c starts in the first image.
static int64_t channel_offset(const dml_desc *d, int64_t c) {
	int64_t block = dml_block(d->layout);
	return d->layout == DML_NHWC ? c : c / block * block * d->h * d->w + c % block;
}

// channels_together returns how many leading channels of src lie together, with
// all their pixels, in both tensors: those of whole blocks.
static int64_t channels_together(const dml_desc *dst, const dml_desc *src, int64_t front) {
	int64_t block = dml_block(src->layout);
	if (dst->layout != src->layout || src->layout == DML_NHWC || front % block != 0) {
		return 0;
	}
	return src->c / block * block;
}

// find_runs returns how many runs the channels of src from first on are, and
// writes them to runs unless it is NULL.
static int64_t find_runs(channel_run *runs, const dml_desc *dst, const dml_desc *src, int64_t first, int64_t front) {
	int planes = src->layout == DML_NCHW || dst->layout == DML_NCHW;
	int64_t n = 0;
	channel_run last = {0};
	for (int64_t c = first; c < src->c; c++) {
		channel_run next = {channel_offset(src, c), channel_offset(dst, c + front), 1};
		if (n > 0 && !planes && next.src == last.src + last.length && next.dst == last.dst + last.length) {
			last.length++;
		} else {
			last = next;
			n++;
		}
		if (runs != NULL) {
			runs[n - 1] = last;
		}
	}
	return n;
}

static dml_copy *copy_plan(dml_engine *e, const dml_desc *dst, const dml_desc *src, int64_t stride, int64_t front) {
	dml_copy *s = dml_calloc(e, sizeof *s);
	if (s == NULL) {
		return NULL;
	}
	s->e = e;
	s->src = grid_of(src);
	s->dst = grid_of(dst);
	s->images = src->n;
	s->rows = dst->h;
	s->columns = dst->w;
	s->stride = stride;
	int64_t together = stride == 1 ? channels_together(dst, src, front) : 0;
	s->whole = (channel_run){0, channel_offset(dst, front), together * src->h * src->w};
	s->nruns = find_runs(NULL, dst, src, together, front);
	s->runs = dml_calloc(e, (size_t)s->nruns * sizeof *s->runs);
	if (s->runs == NULL) {
		return NULL;
	}
	find_runs(s->runs, dst, src, together, front);
	return s;
}

dml_copy *dml_subsample_plan(dml_engine *e, const dml_desc *dst, const dml_desc *src, int64_t stride, int64_t front) {
	dml_copy *s = copy_plan(e, dst, src, stride, front);
	if (s != NULL) {
		s->clear_src = (span){0, s->src.image};
		s->clear_dst = (span){0, s->dst.image};
	}
	return s;
}

// padded_block returns the last block of channels if some of it are padding.
static span padded_block(const dml_desc *d) {
	int64_t block = dml_block(d->layout);
	if (d->c % block == 0) {
		return (span){0, 0};
	}
	return (span){d->c / block * block * d->h * d->w, block * d->h * d->w};
}

dml_copy *dml_concat_plan(dml_engine *e, const dml_desc *dst, const dml_desc *src, int64_t front) {
	dml_copy *s = copy_plan(e, dst, src, 1, front);
	if (s != NULL) {
		s->clear_src = padded_block(src);
		if (front == 0) { // before any piece has written to it
			s->clear_dst = padded_block(dst);
		}
	}
	return s;
}

// copy_pixels copies a run of channels at every pixel of one image.
static inline __attribute__((always_inline)) void copy_pixels(const dml_copy *s, int64_t length, float *to,
	int64_t to_row, int64_t to_pixel, const float *from, int64_t from_row, int64_t from_pixel) {
	for (int64_t y = 0; y < s->rows; y++) {
		for (int64_t x = 0; x < s->columns; x++) {
			memcpy(to + y * to_row + x * to_pixel, from + y * from_row + x * from_pixel,
				(size_t)length * sizeof(float));
		}
	}
}

// copy_run is copy_pixels with the lengths that blocks give as constants.
static void copy_run(const dml_copy *s, int64_t length, float *to, int64_t to_row, int64_t to_pixel, const float *from,
	int64_t from_row, int64_t from_pixel) {
	switch (length) {
	case 1:
		copy_pixels(s, 1, to, to_row, to_pixel, from, from_row, from_pixel);
		break;
	case 4:
		copy_pixels(s, 4, to, to_row, to_pixel, from, from_row, from_pixel);
		break;
	case 8:
		copy_pixels(s, 8, to, to_row, to_pixel, from, from_row, from_pixel);
		break;
	case 12:
		copy_pixels(s, 12, to, to_row, to_pixel, from, from_row, from_pixel);
		break;
	case 16:
		copy_pixels(s, 16, to, to_row, to_pixel, from, from_row, from_pixel);
		break;
	default:
		copy_pixels(s, length, to, to_row, to_pixel, from, from_row, from_pixel);
	}
}

static void clear_span(float *image, span part) {
	memset(image + part.offset, 0, (size_t)part.length * sizeof(float));
}

static void copy_images(void *arg, int64_t begin, int64_t end) {
	const dml_copy *s = arg;
	for (int64_t n = begin; n < end; n++) {
		float *to = s->to + n * s->dst.image;
		const float *from = s->from + n * s->src.image;
		clear_span(to, s->clear_dst);
		memcpy(to + s->whole.dst, from + s->whole.src, (size_t)s->whole.length * sizeof(float));
		for (const channel_run *r = s->runs; r < s->runs + s->nruns; r++) {
			copy_run(s, r->length, to + r->dst, s->dst.row, s->dst.pixel, from + r->src, s->src.row * s->stride,
				s->src.pixel * s->stride);
		}
	}
}

static void copy_images_back(void *arg, int64_t begin, int64_t end) {
	const dml_copy *s = arg;
	for (int64_t n = begin; n < end; n++) {
		float *to = s->to + n * s->src.image;
		const float *from = s->from + n * s->dst.image;
		clear_span(to, s->clear_src);
		memcpy(to + s->whole.src, from + s->whole.dst, (size_t)s->whole.length * sizeof(float));
		for (const channel_run *r = s->runs; r < s->runs + s->nruns; r++) {
			copy_run(s, r->length, to + r->src, s->src.row * s->stride, s->src.pixel * s->stride, from + r->dst,
				s->dst.row, s->dst.pixel);
		}
	}
}

static void copy_all(dml_copy *s, dml_body *body, float *to, const float *from) {
	dml_enter(s->e);
	s->to = to;
	s->from = from;
	dml_parallel(s->e, s->images, body, s);
	s->to = NULL;
	s->from = NULL;
}

void dml_copy_forward(dml_copy *s, float *dst, const float *src) { copy_all(s, copy_images, dst, src); }

void dml_copy_backward(dml_copy *s, float *dsrc, const float *ddst) { copy_all(s, copy_images_back, dsrc, ddst); }
