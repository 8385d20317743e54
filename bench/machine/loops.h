// The two loops that the processor's limits are measured with.

#ifndef DML_MACHINE_LOOPS_H
#define DML_MACHINE_LOOPS_H

#include <stdint.h>

typedef struct {
	const char *isa;
	int lanes;  // floats in a vector register
	int chains; // independent multiply-adds under way
	// multiply_add does rounds of acc = acc * x + y in every lane of every chain, in
	// registers alone, and returns the sum over them. Chain c begins with start + c.
	float (*multiply_add)(int64_t rounds, float start, float x, float y);
	// triad sets a = b + s * c.
	void (*triad)(int64_t n, float *a, const float *b, const float *c, float s);
} machine_loops;

// machine_loops_at returns those for the i-th instruction set that the processor
// has, the widest last, and NULL past them.
const machine_loops *machine_loops_at(int i);

#endif
