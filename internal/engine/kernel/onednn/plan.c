//go:build cgo && (linux || darwin)

// Creating and running plans.

#include <stdlib.h>
#include <string.h>

#include "plan.h"

dml_plan *dml_plan_new(dml_engine *e) {
	dml_plan *p = calloc(1, sizeof *p);
	if (p != NULL) {
		p->e = e;
		p->next = e->plans;
		e->plans = p;
	}
	return p;
}

static void op_free(const dml_lib *lib, dml_op *op) {
	for (int i = 0; i < op->nargs; i++) {
		lib->memory_destroy(op->args[i].memory);
	}
	if (op->primitive != NULL) {
		lib->primitive_destroy(op->primitive);
	}
	if (op->pd != NULL) {
		lib->primitive_desc_destroy(op->pd);
	}
	memset(op, 0, sizeof *op);
}

void dml_plan_reset(dml_plan *p) {
	for (int i = 0; i < p->nports; i++) {
		op_free(p->e->lib, &p->port[i].copy);
	}
	p->nports = 0;
	op_free(p->e->lib, &p->op);
}

void dml_plan_free(dml_plan *p) {
	dml_plan_reset(p);
	free(p);
}

static int op_bind(const dml_engine *e, dml_op *op, int arg, const void *md) {
	void *memory;
	int s = e->lib->memory_create(&memory, md, e->engine, NULL);
	if (s == DNNL_SUCCESS) {
		op->args[op->nargs++] = (dnnl_arg){arg, memory};
	}
	return s;
}

// op_create creates the primitive of op->pd and binds its scratchpad, the last
// of its arguments.
static int op_create(dml_engine *e, dml_op *op) {
	dml_enter(e);
	int s = e->lib->primitive_create(&op->primitive, op->pd);
	if (s != DNNL_SUCCESS) {
		op->primitive = NULL;
		return s;
	}
	const void *md = e->lib->primitive_desc_query_md(op->pd, DNNL_QUERY_SCRATCHPAD_MD, 0);
	size_t bytes = md == NULL ? 0 : e->lib->memory_desc_get_size(md);
	if (bytes == 0) {
		return DNNL_SUCCESS;
	}
	s = dml_reserve(e, DML_SLOT_SCRATCHPAD, bytes);
	return s != DNNL_SUCCESS ? s : op_bind(e, op, DNNL_ARG_SCRATCHPAD, md);
}

// op_run executes op on data, one pointer an argument without the scratchpad.
static int op_run(const dml_engine *e, const dml_op *op, void *const *data) {
	const dml_lib *lib = e->lib;
	int s = DNNL_SUCCESS;
	for (int i = 0; i < op->nargs && s == DNNL_SUCCESS; i++) {
		void *ptr = op->args[i].arg == DNNL_ARG_SCRATCHPAD ? e->slot[DML_SLOT_SCRATCHPAD].data
								   : data[i];
		s = lib->memory_set_data_handle(op->args[i].memory, ptr);
	}
	if (s == DNNL_SUCCESS) {
		s = lib->primitive_execute(op->primitive, e->stream, op->nargs, op->args);
	}
	if (s == DNNL_SUCCESS) {
		s = lib->stream_wait(e->stream);
	}
	// The pointers may be Go's: none may stay behind.
	for (int i = 0; i < op->nargs; i++) {
		lib->memory_set_data_handle(op->args[i].memory, NULL);
	}
	return s;
}

// op_reorder makes op the reorder from one memory descriptor to another.
static dml_result op_reorder(dml_engine *e, dml_op *op, const void *dst, const void *src) {
	dml_enter(e);
	int s = e->lib->reorder_primitive_desc_create(&op->pd, src, e->engine, dst, e->engine, e->attr);
	if (s != DNNL_SUCCESS) {
		op->pd = NULL;
		return dml_fail(s, "creating the descriptor of a reorder");
	}
	s = op_bind(e, op, DNNL_ARG_SRC, src);
	if (s == DNNL_SUCCESS) {
		s = op_bind(e, op, DNNL_ARG_DST, dst);
	}
	if (s == DNNL_SUCCESS) {
		s = op_create(e, op);
	}
	return s == DNNL_SUCCESS ? dml_ok() : dml_fail(s, "creating a reorder");
}

dml_result dml_plan_create(dml_plan *p) {
	int s = op_create(p->e, &p->op);
	return s == DNNL_SUCCESS ? dml_ok() : dml_fail(s, "creating the primitive");
}

dml_result dml_plan_port(dml_plan *p, int arg, int query, int index, int slot, int input, const void *md) {
	dml_engine *e = p->e;
	const void *wanted = e->lib->primitive_desc_query_md(p->op.pd, query, index);
	if (wanted == NULL) {
		return dml_fail(DNNL_INVALID_ARGUMENTS, "asking for the layout of an argument");
	}
	dml_port *port = &p->port[p->nports++];
	memset(port, 0, sizeof *port);
	port->slot = slot;
	port->input = input;
	port->bytes = e->lib->memory_desc_get_size(wanted);
	int s = op_bind(e, &p->op, arg, wanted);
	if (s != DNNL_SUCCESS) {
		return dml_fail(s, "creating a memory object");
	}
	if (md == NULL || e->lib->memory_desc_equal(md, wanted)) {
		return dml_ok();
	}
	port->reordered = 1;
	s = dml_reserve(e, slot, port->bytes);
	if (s != DNNL_SUCCESS) {
		return dml_fail(s, "allocating memory for a reorder");
	}
	return input ? op_reorder(e, &port->copy, wanted, md) : op_reorder(e, &port->copy, md, wanted);
}

// must_stage reports whether data must be copied to aligned memory for oneDNN:
// its pooling for processors before AVX takes operands from memory in
// instructions that fault on other addresses.
static int must_stage(const dml_engine *e, const void *data) {
#if defined(__x86_64__)
	enum { SSE_ALIGNMENT = 16 };
	return (e->lib->isa & DML_ISA_AVX) != DML_ISA_AVX && (uintptr_t)data % SSE_ALIGNMENT != 0;
#else
	(void)e;
	(void)data;
	return 0;
#endif
}

dml_result dml_plan_run(dml_plan *p, void *const *data) {
	dml_engine *e = p->e;
	dml_enter(e);
	void *args[DML_MAX_PORTS];
	for (int i = 0; i < p->nports; i++) {
		dml_port *port = &p->port[i];
		args[i] = data[i];
		if (port->reordered || data[i] == NULL) {
			args[i] = e->slot[port->slot].data;
		}
		if (port->reordered && port->input) {
			int s = op_run(e, &port->copy, (void *[]){data[i], args[i]});
			if (s != DNNL_SUCCESS) {
				return dml_fail(s, "reordering an argument");
			}
		}
		if (must_stage(e, args[i])) {
			int s = dml_reserve(e, port->slot, port->bytes);
			if (s != DNNL_SUCCESS) {
				return dml_fail(s, "allocating memory for an argument that is not aligned");
			}
			args[i] = e->slot[port->slot].data;
			if (port->input) {
				memcpy(args[i], data[i], port->bytes);
			}
		}
	}
	int s = op_run(e, &p->op, args);
	if (s != DNNL_SUCCESS) {
		return dml_fail(s, "executing the primitive");
	}
	for (int i = 0; i < p->nports; i++) {
		dml_port *port = &p->port[i];
		if (port->reordered && !port->input) {
			s = op_run(e, &port->copy, (void *[]){args[i], data[i]});
			if (s != DNNL_SUCCESS) {
				return dml_fail(s, "reordering a result");
			}
		} else if (!port->input && data[i] != NULL && args[i] != data[i]) {
			memcpy(data[i], args[i], port->bytes);
		}
	}
	return dml_ok();
}

const char *dml_plan_implementation(const dml_plan *p) {
	if (p->winograd.loops != NULL) {
		return "winograd:dml";
	}
	const char *name = NULL;
	p->e->lib->primitive_desc_query(p->op.pd, DNNL_QUERY_IMPL_INFO_STR, 0, &name);
	return name == NULL ? "unknown" : name;
}

int dml_plan_is_slow(const dml_plan *p) {
	return strncmp(dml_plan_implementation(p), "ref", 3) == 0;
}
