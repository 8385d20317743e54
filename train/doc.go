// Package train trains cohorts of students by deep mutual learning (Zhang,
// Xiang, Hospedales, Lu: Deep Mutual Learning, CVPR 2018, arXiv 1706.00384).
//
// Student k of K minimises, over each mini-batch that all students share,
//
//	L_k = CE(labels, p_k) + 1/(K-1) * sum over l != k of KL(p_l || p_k)
//
// (equations 3 and 8 of the paper): cross entropy to the labels, and the mean
// divergence from its peers' posteriors p_l, the mimicry loss. Peers'
// posteriors are constants: no gradient flows into the peers. Both terms are
// means over the mini-batch. All posteriors are computed before any student is
// updated.
//
// A [Session] runs a [Config]: it prepares data, steps the students, evaluates
// them on the validation split after each epoch, and hands states to a [Store].
package train
