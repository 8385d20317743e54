//go:build cgo && (linux || darwin)

// Loading of the oneDNN library.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

// dml_symbol looks name up in the library and its dependencies.
static void *dml_symbol(void *handle, const char *name, int required, char *err, size_t errlen) {
	void *sym = dlsym(handle, name);
	if (sym == NULL && required && err[0] == 0) {
		snprintf(err, errlen, "it has no function %s", name);
	}
	return sym;
}

// POSIX guarantees that a void pointer from dlsym can become a function
// pointer; going through an integer keeps pedantic compilers quiet.
#define LOAD(result, name, params) \
	lib->name = (result(*) params)(uintptr_t)dml_symbol(lib->handle, "dnnl_" #name, 1, err, errlen);
#define LOAD_V2(result, name, params) \
	lib->v2.name = (result(*) params)(uintptr_t)dml_symbol(lib->handle, "dnnl_" #name, 1, err, errlen);
#define LOAD_V3(result, name, params) \
	lib->v3.name = (result(*) params)(uintptr_t)dml_symbol(lib->handle, "dnnl_" #name, 1, err, errlen);

// dml_load_openmp finds the OpenMP that the library was linked with.
static void dml_load_openmp(dml_lib *lib) {
	void *h = lib->handle;
	lib->omp_set_num_threads =
		(void (*)(int))(uintptr_t)dml_symbol(h, "omp_set_num_threads", 0, NULL, 0);
	lib->omp_set_dynamic = (void (*)(int))(uintptr_t)dml_symbol(h, "omp_set_dynamic", 0, NULL, 0);
	lib->omp_get_thread_limit =
		(int (*)(void))(uintptr_t)dml_symbol(h, "omp_get_thread_limit", 0, NULL, 0);
	lib->omp_get_num_threads =
		(int (*)(void))(uintptr_t)dml_symbol(h, "omp_get_num_threads", 0, NULL, 0);
	lib->omp_get_thread_num =
		(int (*)(void))(uintptr_t)dml_symbol(h, "omp_get_thread_num", 0, NULL, 0);
	lib->gomp_parallel = (void (*)(void (*)(void *), void *, unsigned, unsigned))(uintptr_t)
		dml_symbol(h, "GOMP_parallel", 0, NULL, 0);
	if (lib->omp_get_num_threads == NULL || lib->omp_get_thread_num == NULL) {
		lib->gomp_parallel = NULL;
	}
}

// dml_check_layouts reorders a small tensor into the blocked layouts: a library
// whose format tags had other values would compute nonsense silently. The result
// is that of the calls, good that of the comparison.
static dml_result dml_check_layouts(dml_lib *lib, int *good) {
	enum { C = 20, W = 2, BLOCKED = 32 * W };
	float src[C * W];
	for (int i = 0; i < C * W; i++) {
		src[i] = (float)(i + 1);
	}
	*good = 1;
	dml_engine *e;
	dml_result r = dml_engine_new(lib, 1, &e);
	if (r.status != DNNL_SUCCESS) {
		return r;
	}
	for (int layout = DML_NCHW8C; layout <= DML_NCHW16C; layout++) {
		int block = layout == DML_NCHW8C ? 8 : 16;
		dml_desc from = {1, C, 1, W, DML_NCHW}, to = {1, C, 1, W, layout};
		float dst[BLOCKED] = {0};
		dml_plan *p;
		r = dml_reorder_plan(e, &to, &from, &p);
		if (r.status == DNNL_SUCCESS) {
			r = dml_reorder_run(p, dst, src);
		}
		if (r.status != DNNL_SUCCESS) {
			break;
		}
		for (int c = 0; c < C; c++) {
			for (int w = 0; w < W; w++) {
				*good = *good && dst[(c / block * W + w) * block + c % block] == src[c * W + w];
			}
		}
	}
	dml_engine_free(e);
	return r;
}

static const char *runtime_name(unsigned runtime) {
	switch (runtime) {
	case 0: return "no CPU support";
	case 4: return "TBB";
	case 8: return "a threadpool of the program's";
	case 256: return "OpenCL";
	case 512: return "SYCL";
	}
	return "an unknown runtime";
}

dml_lib *dml_load(const char *path, char *err, size_t errlen) {
	err[0] = 0;
	dml_lib *lib = calloc(1, sizeof *lib);
	if (lib == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	lib->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (lib->handle == NULL) {
		snprintf(err, errlen, "%s", dlerror());
		free(lib);
		return NULL;
	}
	const dnnl_version *(*version)(void) = (const dnnl_version *(*)(void))(uintptr_t)dml_symbol(
		lib->handle, "dnnl_version", 1, err, errlen);
	if (version == NULL) {
		snprintf(err, errlen, "%s is not oneDNN: it has no function dnnl_version", path);
		goto fail;
	}
	lib->major = version()->major;
	lib->minor = version()->minor;
	lib->patch = version()->patch;
	if (lib->major != 2 && lib->major != 3) {
		snprintf(err, errlen, "%s is oneDNN %d.%d.%d: versions 2 and 3 are supported", path, lib->major,
			lib->minor, lib->patch);
		goto fail;
	}
	unsigned runtime = version()->cpu_runtime;
	if (runtime != DNNL_RUNTIME_OMP && runtime != DNNL_RUNTIME_SEQ) {
		// Their number of threads cannot be set, nor our loops run on them.
		snprintf(err, errlen,
			"%s (oneDNN %d.%d.%d) was built for %s (runtime %u): builds for OpenMP or one thread are supported",
			path, lib->major, lib->minor, lib->patch, runtime_name(runtime), runtime);
		goto fail;
	}
	Dl_info where;
	const char *file = path;
	if (dladdr((void *)(uintptr_t)version, &where) != 0 && where.dli_fname != NULL) {
		file = where.dli_fname;
	}
	snprintf(lib->path, sizeof lib->path, "%s", file);

	DNNL_COMMON(LOAD)
	if (lib->major == 2) {
		DNNL_V2(LOAD_V2)
	} else {
		DNNL_V3(LOAD_V3)
	}
	if (err[0] != 0) {
		goto fail;
	}
	if (runtime == DNNL_RUNTIME_OMP) {
		dml_load_openmp(lib);
	}
#if defined(__x86_64__)
	lib->isa = lib->get_effective_cpu_isa();
#else
	lib->isa = 0; // the numbers mean x86's sets here, and other ones elsewhere
#endif
	lib->loops = dml_loops_for(lib->isa);
	// From here on the library stays loaded even if it is refused: its threads
	// run its code, and to unload that would end the process.
	int good;
	dml_result r = dml_check_layouts(lib, &good);
	if (r.status == DNNL_SUCCESS && good) {
		return lib;
	}
	if (r.status != DNNL_SUCCESS) {
		snprintf(err, errlen, "%s (oneDNN %d.%d.%d) failed its first reorder: %s: %s", path, lib->major,
			lib->minor, lib->patch, r.step, dml_status_name(r.status));
	} else {
		snprintf(err, errlen, "%s (oneDNN %d.%d.%d) reorders into blocked layouts wrongly", path,
			lib->major, lib->minor, lib->patch);
	}
	free(lib);
	return NULL;

fail:
	dlclose(lib->handle);
	free(lib);
	return NULL;
}

const char *dml_lib_path(const dml_lib *lib) { return lib->path; }

void dml_lib_version(const dml_lib *lib, int *major, int *minor, int *patch) {
	*major = lib->major;
	*minor = lib->minor;
	*patch = lib->patch;
}

int dml_lib_isa(const dml_lib *lib) { return lib->isa; }

const char *dml_status_name(int status) {
	switch (status) {
	case 0: return "success";
	case 1: return "out of memory";
	case 2: return "invalid arguments";
	case 3: return "unimplemented";
	case 4: return "iterator ends";
	case 5: return "runtime error";
	case 6: return "not required";
	case 7: return "unexpected rank";
	}
	return "unknown status";
}
