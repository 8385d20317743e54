// Package onednn computes the kernels with the oneDNN library, which it loads
// at run time.
//
// # Loading
//
// The library is opened with dlopen, so building needs neither its headers nor
// the library itself, and one binary serves systems with oneDNN 2 (Debian 12)
// and oneDNN 3 (Ubuntu 24.04, Debian 13, Homebrew). [Open] says in which order
// files are tried. A library stays loaded until the process ends.
//
// # The C side
//
//	load.c       finds the functions, checks the version and the blocked layouts
//	desc.c       memory and primitive descriptors: all that differs between 2 and 3
//	engine.c     memory, scratch buffers and threads of one student
//	winograd.c   3x3 convolutions of stride 1, our own
//	plan.c       a primitive with its arguments and the reorders around it
//	kernels.c    convolution, pooling, reorder and matrix product by oneDNN
//	finish.c     the end of a convolution that oneDNN does not fuse, our own
//	norm.c       batch normalisation with fused activation, our own
//	pointwise.c  addition, activation, mean, dropout: our own
//	copy.c       shortcut and concatenation: our own
//	softmax.c    softmax and log-softmax: our own
//	loops_*      inner loops of our own, compiled for AVX-512, AVX2 and any processor
//
// Every run of a kernel is one call from Go to C (of a concatenation, one for
// each source) and allocates nothing in Go.
// Weights stay in the caller's plain layout: a plan reorders them into the
// layout that the primitive chose in every run, which costs little beside the
// convolution and is right however the weights change. Scratchpads and
// reordered arguments live in a few buffers an engine, shared by its kernels.
// Pointers are given to oneDNN before a run and taken away after it, so
// tensors may be in Go memory.
//
// # What is relied upon of the ABI
//
//   - Signatures and enumerations are declared in internal.h from the public C
//     headers of versions 2.6, 3.2 and 3.13. They are equal in all, but for the
//     numbers of the blocked format tags, which loading checks by a reorder.
//   - Version 2: a memory descriptor is a struct of 696 bytes and a
//     convolution descriptor one of 5,976. Larger blobs are handed to the
//     library's own init functions, are never read or copied, and are not needed
//     once the primitive descriptor exists.
//   - Version 3: both are opaque handles.
//   - Threads are those of the OpenMP that the library itself brings:
//     omp_set_num_threads, which holds for the calling OS thread, is set before
//     every planning and run, and our own loops run on the same pool through
//     GOMP_parallel, which GNU's, Intel's and LLVM's OpenMP all export. A library
//     built without threads runs everything on one; those built for another
//     threading (TBB, SYCL, a threadpool) are refused.
//
// # Speed
//
// Activations should be in the layout that Engine.Layout gives: blocks of 16
// channels under AVX-512, of 8 under AVX2, else channels last. On blocks, 3x3
// convolutions of stride 1 run on Winograd kernels of our own (winograd.h):
// oneDNN 3 has none for x86, and those of version 2, for AVX-512 alone, gain
// less, and nothing on 16 channels. oneDNN's serve where ours do not fit (see
// winogradFits). Forward convolutions to few channels
// run as the data gradient of the opposite convolution where that is faster (see
// mirrors). Where oneDNN has only reference loops for the given layouts,
// activations are reordered into ones of its choice.
//
// On processors other than x86-64 the layout is channels last and our own loops
// are those for any processor. Builds for arm64 are compiled in every change's
// checks, but not run: untested.
//
// Results depend on the number of threads (weight gradients are summed per
// thread) but not on anything else: they are the same bits in every run.
package onednn
