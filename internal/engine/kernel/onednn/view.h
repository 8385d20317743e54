// Activations as segments (see loops.h).

#ifndef DML_VIEW_H
#define DML_VIEW_H

#include "internal.h"

typedef struct {
	int64_t images, groups; // a segment for each image and channel group
	int64_t image_stride, block_stride;
	int64_t parts;          // groups in a block of channels, part_stride apart
	int64_t part_stride;
	int64_t channels, pixels;
	int lanes;              // L
	int period;             // lane l of group g is channel g*period + l%period
	dml_segment full, last; // of all groups but the last, of the last
} dml_view;

// dml_view_of cuts d into segments of the given number of lanes.
dml_view dml_view_of(const dml_desc *d, int lanes);

static inline const dml_segment *dml_view_segment(const dml_view *v, int64_t group) {
	return group + 1 < v->groups ? &v->full : &v->last;
}

static inline int64_t dml_view_offset(const dml_view *v, int64_t image, int64_t group) {
	return image * v->image_stride + group / v->parts * v->block_stride + group % v->parts * v->part_stride;
}

// dml_view_channels returns the number of channels of a group; it is 0 in the
// padding.
static inline int dml_view_channels(const dml_view *v, int64_t group) {
	int64_t left = v->channels - group * v->period;
	return left < 0 ? 0 : left < v->period ? (int)left : v->period;
}

// dml_block returns the number of channels that lie together: kernel.Layout.Block.
static inline int dml_block(int layout) {
	return layout == DML_NCHW16C ? 16 : layout == DML_NCHW8C ? 8 : 1;
}

#endif
