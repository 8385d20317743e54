//go:build cgo && (linux || darwin)

// The softmax of rows and its logarithm.

#include <math.h>

#include "internal.h"

// Values summed in single precision before they are added to a double.
enum { CHUNK = 1024 };

typedef struct {
	const dml_loops *loops;
	int64_t cols;
	float *to;
	const float *x, *y; // source, or output and its gradient
} softmax_job;

// exp_row is exp_sum of a row of any length.
static double exp_row(const softmax_job *j, float *to, const float *x, float shift) {
	double sum = 0;
	for (int64_t i = 0; i < j->cols; i += CHUNK) {
		int64_t n = j->cols - i < CHUNK ? j->cols - i : CHUNK;
		sum += j->loops->exp_sum(n, to == NULL ? NULL : to + i, x + i, shift);
	}
	return sum;
}

static void softmax_rows(void *arg, int64_t begin, int64_t end) {
	const softmax_job *j = arg;
	for (int64_t r = begin; r < end; r++) {
		const float *x = j->x + r * j->cols;
		float *to = j->to + r * j->cols;
		float scale = (float)(1 / exp_row(j, to, x, j->loops->max(j->cols, x)));
		for (int64_t i = 0; i < j->cols; i++) {
			to[i] *= scale;
		}
	}
}

static void log_softmax_rows(void *arg, int64_t begin, int64_t end) {
	const softmax_job *j = arg;
	for (int64_t r = begin; r < end; r++) {
		const float *x = j->x + r * j->cols;
		float *to = j->to + r * j->cols;
		float peak = j->loops->max(j->cols, x), rest = (float)log(exp_row(j, NULL, x, peak));
		for (int64_t i = 0; i < j->cols; i++) {
			to[i] = (x[i] - peak) - rest;
		}
	}
}

// dx = y (dy - sum dy y)
static void softmax_rows_backward(void *arg, int64_t begin, int64_t end) {
	const softmax_job *j = arg;
	for (int64_t r = begin; r < end; r++) {
		const float *dy = j->x + r * j->cols, *y = j->y + r * j->cols;
		float *to = j->to + r * j->cols;
		double product = 0;
		for (int64_t i = 0; i < j->cols; i++) {
			product += (double)dy[i] * y[i];
		}
		for (int64_t i = 0; i < j->cols; i++) {
			to[i] = y[i] * (float)(dy[i] - product);
		}
	}
}

// dx = dy - exp(y) sum dy
static void log_softmax_rows_backward(void *arg, int64_t begin, int64_t end) {
	const softmax_job *j = arg;
	for (int64_t r = begin; r < end; r++) {
		const float *dy = j->x + r * j->cols, *y = j->y + r * j->cols;
		float *to = j->to + r * j->cols;
		double sum = 0;
		for (int64_t i = 0; i < j->cols; i++) {
			sum += dy[i];
		}
		exp_row(j, to, y, 0);
		for (int64_t i = 0; i < j->cols; i++) {
			to[i] = dy[i] - (float)(to[i] * sum);
		}
	}
}

void dml_softmax(dml_engine *e, int64_t rows, int64_t cols, int log, float *dst, const float *src) {
	dml_enter(e);
	softmax_job j = {e->lib->loops, cols, dst, src, NULL};
	dml_parallel(e, rows, log ? log_softmax_rows : softmax_rows, &j);
}

void dml_softmax_backward(dml_engine *e, int64_t rows, int64_t cols, int log, float *dsrc, const float *ddst,
	const float *dst) {
	dml_enter(e);
	softmax_job j = {e->lib->loops, cols, dsrc, ddst, dst};
	dml_parallel(e, rows, log ? log_softmax_rows_backward : softmax_rows_backward, &j);
}
