// Package lower turns a network description into a Gorgonia graph over kernels
// and compiles it to run.
//
// A [Network] made for training has batch statistics and a backward pass from a
// given logits gradient; one made for inference has running statistics. Both
// can share their parameters. Lowering chooses the layout of every activation,
// inserts the reorders between layouts, and fuses rectifiers into the batch
// normalisation or addition before them. For inference it folds a batch
// normalisation into the convolution before it, from the weights and statistics of
// the moment in every run, and fuses an addition and a rectifier too. Dropout acts in training alone, with
// masks that follow from seed, layer and step.
package lower
