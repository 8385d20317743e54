// Package train trains cohorts of students by deep mutual learning (Zhang,
// Xiang, Hospedales, Lu: Deep Mutual Learning, CVPR 2018, arXiv 1706.00384) and
// by what it is compared with. Begin with [Fit], or with package run, which keeps
// a training in a folder.
//
// Let z_k be the logits of student k of K, p_k = softmax(z_k) its posterior and
// q_k = softmax(z_k / T) that at the temperature T. Over each mini-batch, whose
// samples all students share, student k minimises
//
//	L_k = CE(y, p_k) + w * M_k
//
// where y are the labels, smoothed by e to (1-e) * label + e/classes, w is the
// weight of the mimicry loss M_k, and M_k follows from the mode (the factor T^2
// keeps the scale of its gradient):
//
//	dml          M_k = T^2/(K-1) * sum over l != k of KL(q_l || q_k)
//	dml_e        M_k = T^2 * KL(m_k || q_k),  m_k = 1/(K-1) * sum over l != k of q_l
//	distill      M_k = T^2 * KL(q || q_k),    q = softmax(z / T) of the teacher's logits z
//	independent  M_k = 0
//
// With the defaults w = T = 1 and e = 0, dml is the paper's equation 8, and dml_e
// its DML_e. For K = 2 they are one. For more students their losses differ by
// what does not depend on student k, so their gradients are equal, but for
// rounding: CE is linear in the posterior that is mimicked. Both terms are means
// over the mini-batch.
// Posteriors to be mimicked are constants: no gradient flows into peers or
// teacher. w may rise in a straight line at the start: in step s of S, counted
// from 0, it is (s+1)/S of its value.
//
// In the simultaneous order all posteriors of a step are computed before any
// student is updated. In the sequential order, the paper's Algorithm 1, students
// are updated one after another, and each one's posterior of the mini-batch is
// computed anew after its update; running statistics of batch normalisation
// still advance once a step, by the first forward pass. With views per student
// each sees an augmentation of its own, q_l is the posterior of student l's view
// of a sample, and the teacher is shown each view.
//
// # In Go
//
// A [Config] is values: modes, students, an optimizer and a schedule of package
// optim, augmentation of package dataset. [Fit] trains in one call:
//
//	result, err := train.Fit(ctx, train.Config{
//		Students:  []train.Student{{Arch: "resnet20"}, {Arch: "resnet20"}},
//		Optimizer: optim.SGD{LearningRate: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4},
//		Schedule:  optim.Cosine{},
//		Augment:   dataset.Augment{Flip: true, PadCrop: 4},
//	}, data, train.Options{}, train.Events{})
//
// A [Session] is the same in steps: it prepares data, steps the students,
// evaluates them on the validation part after each epoch, and hands states to a
// [Store], or keeps the best. A [State] is all that resuming, evaluating and
// exporting a student needs; [State.Checkpoint] and [ParseState] take it to a
// file and back, [Session.Restore] goes on from it to the bit, [Evaluate] and
// [Logits] compute with it, and [NewFrozenTeacher] makes a teacher of it. Package
// run keeps a session in a folder, with a configuration file.
package train
