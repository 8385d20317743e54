// A plan: one oneDNN primitive, its arguments, and the reorders around it.

#ifndef DML_PLAN_H
#define DML_PLAN_H

#include "internal.h"

enum { DML_MAX_PORTS = 6 };

typedef struct {
	void *pd, *primitive;
	int nargs;
	dnnl_arg args[DML_MAX_PORTS];
} dml_op;

// dml_port is one argument of the primitive. Where the primitive wants another
// layout than the caller has, copy reorders between the caller's memory and a
// scratch slot of the engine.
typedef struct {
	int slot, input;
	int reordered;
	size_t bytes; // of what the primitive wants
	dml_op copy;
} dml_port;

// dml_mirror is set for a forward convolution that runs as a data gradient.
typedef struct {
	int64_t in, out, taps;
	float *weights; // [in, out, taps]; NULL when not mirrored
} dml_mirror;

// dml_winograd is set for a pass that our own Winograd kernels compute.
typedef struct {
	const dml_winograd_loops *loops; // NULL when not
	dml_tiling tiling;
	int64_t groups;
	dml_epilogue epilogue; // of the forward pass; its bias is an argument
} dml_winograd;

struct dml_plan {
	dml_engine *e;
	dml_plan *next;
	dml_op op;
	dml_port port[DML_MAX_PORTS];
	int nports; // the scratchpad, if any, is a further argument of op
	float *workspace;
	dml_mirror mirror;
	dml_winograd winograd;
};

// dml_plan_new makes an empty plan that the engine frees, or NULL.
dml_plan *dml_plan_new(dml_engine *e);
void dml_plan_free(dml_plan *p);
// dml_plan_reset destroys the primitive and the ports.
void dml_plan_reset(dml_plan *p);
// dml_plan_port adds the argument arg, whose memory descriptor p->op.pd gives
// for query and index. md is the caller's, NULL for the same. Ports are run in
// the order they are added.
dml_result dml_plan_port(dml_plan *p, int arg, int query, int index, int slot, int input, const void *md);
// dml_plan_create creates the primitive of p->op.pd, after all its ports.
dml_result dml_plan_create(dml_plan *p);
// dml_plan_run runs the primitive on one pointer a port. The pointers are not
// kept. A NULL pointer stands for scratch memory of the port's slot.
dml_result dml_plan_run(dml_plan *p, void *const *data);
// dml_plan_is_slow reports whether oneDNN has only its reference loops.
int dml_plan_is_slow(const dml_plan *p);

// --- winograd.c -------------------------------------------------------------

// dml_winograd_plan plans a pass on our own kernels. The passes take what those
// of shim.h take; bias may be NULL.
dml_result dml_winograd_plan(dml_plan *p, const dml_conv_geometry *g, enum dml_pass pass);
void dml_winograd_forward(dml_plan *p, float *dst, const float *src, const float *weights, const float *bias);
void dml_winograd_backward_data(dml_plan *p, float *dsrc, const float *ddst, const float *weights);
void dml_winograd_backward_weights(dml_plan *p, float *dweights, const float *src, const float *ddst);

#endif
