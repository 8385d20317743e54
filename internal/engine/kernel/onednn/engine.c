//go:build cgo && (linux || darwin)

// Memory and threads of one student.

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "plan.h"

// Buffers of at least one huge page are aligned to it and marked for it: that
// saves most of the address translation misses of large activations.
enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

struct dml_block {
	struct dml_block *next;
	void *data;
};

static void *aligned_zeroed(size_t bytes) {
	size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
	void *p = NULL;
	if (posix_memalign(&p, align, bytes > 0 ? bytes : CACHE_LINE) != 0) {
		return NULL;
	}
#ifdef MADV_HUGEPAGE
	if (bytes >= HUGE_PAGE) {
		// A refusal leaves ordinary pages, which are as correct.
		(void)madvise(p, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
	}
#endif
	memset(p, 0, bytes);
	return p;
}

void *dml_calloc(dml_engine *e, size_t bytes) {
	struct dml_block *b = malloc(sizeof *b);
	if (b == NULL) {
		return NULL;
	}
	b->data = aligned_zeroed(bytes);
	if (b->data == NULL) {
		free(b);
		return NULL;
	}
	b->next = e->blocks;
	e->blocks = b;
	return b->data;
}

float *dml_alloc(dml_engine *e, int64_t n) { return dml_calloc(e, (size_t)n * sizeof(float)); }

int dml_reserve(dml_engine *e, int slot, size_t bytes) {
	if (bytes <= e->slot[slot].bytes) {
		return DNNL_SUCCESS;
	}
	float *grown = aligned_zeroed(bytes);
	if (grown == NULL) {
		return DNNL_OUT_OF_MEMORY;
	}
	free(e->slot[slot].data);
	e->slot[slot].data = grown;
	e->slot[slot].bytes = bytes;
	return DNNL_SUCCESS;
}

void dml_enter(const dml_engine *e) {
	// oneDNN splits the work of a primitive over the threads that it was planned
	// for: with fewer, parts are left out or waited for without end.
	if (e->lib->omp_set_dynamic != NULL) {
		e->lib->omp_set_dynamic(0);
	}
	if (e->lib->omp_set_num_threads != NULL) {
		e->lib->omp_set_num_threads(e->threads);
	}
}

dml_result dml_engine_new(dml_lib *lib, int threads, dml_engine **out) {
	*out = NULL;
	// oneDNN divides its work when it plans; a smaller team would leave parts
	// undone, or wait for threads that do not come.
	if (lib->omp_get_thread_limit != NULL && threads > lib->omp_get_thread_limit()) {
		return dml_fail(DNNL_INVALID_ARGUMENTS,
			"more threads asked for than OMP_THREAD_LIMIT allows; raise it or use fewer");
	}
	dml_engine *e = calloc(1, sizeof *e);
	if (e == NULL) {
		return dml_fail(DNNL_OUT_OF_MEMORY, "allocating the engine");
	}
	e->lib = lib;
	e->threads = threads;
	dml_enter(e);
	const char *step = "creating the oneDNN engine";
	int s = lib->engine_create(&e->engine, DNNL_ENGINE_CPU, 0);
	if (s == DNNL_SUCCESS) {
		step = "creating the oneDNN stream";
		s = lib->stream_create(&e->stream, e->engine, DNNL_STREAM_IN_ORDER);
	}
	if (s == DNNL_SUCCESS) {
		step = "creating the primitive attributes";
		s = dml_attr(lib, 0, 0, 0, 0, &e->attr);
	}
	if (s != DNNL_SUCCESS) {
		dml_engine_free(e);
		return dml_fail(s, step);
	}
	*out = e;
	return dml_ok();
}

void dml_engine_free(dml_engine *e) {
	for (dml_plan *p = e->plans; p != NULL;) {
		dml_plan *next = p->next;
		dml_plan_free(p);
		p = next;
	}
	if (e->attr != NULL) {
		e->lib->primitive_attr_destroy(e->attr);
	}
	if (e->stream != NULL) {
		e->lib->stream_destroy(e->stream);
	}
	if (e->engine != NULL) {
		e->lib->engine_destroy(e->engine);
	}
	for (struct dml_block *b = e->blocks; b != NULL;) {
		struct dml_block *next = b->next;
		free(b->data);
		free(b);
		b = next;
	}
	for (int i = 0; i < DML_SLOTS; i++) {
		free(e->slot[i].data);
	}
	free(e);
}

// --- parallel loops -----------------------------------------------------------

typedef struct {
	const dml_lib *lib;
	int64_t n;
	dml_body *body;
	void *arg;
} parallel_job;

static void parallel_share(void *arg) {
	const parallel_job *job = arg;
	int64_t threads = job->lib->omp_get_num_threads(), i = job->lib->omp_get_thread_num();
	int64_t begin = job->n * i / threads, end = job->n * (i + 1) / threads;
	if (begin < end) {
		job->body(job->arg, begin, end);
	}
}

void dml_parallel(const dml_engine *e, int64_t n, dml_body *body, void *arg) {
	if (e->threads == 1 || n <= 1 || e->lib->gomp_parallel == NULL) {
		body(arg, 0, n);
		return;
	}
	parallel_job job = {e->lib, n, body, arg};
	e->lib->gomp_parallel(parallel_share, &job, (unsigned)e->threads, 0);
}
