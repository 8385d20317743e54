// Package run keeps a training as a thing: a configuration, a folder, and what
// can be done with them.
//
//	r, err := run.Start(ctx, run.Config{
//		Data:     run.DataConfig{Path: "cifar10/"},
//		Students: []run.StudentConfig{{Arch: "resnet20"}, {Arch: "resnet20"}},
//	}, run.Options{})
//	summary, err := r.Train(ctx, train.Events{})
//	scores, err := r.Evaluate(ctx, run.EvaluateOptions{})
//	files, err := r.Export(ctx, run.ExportOptions{})
//
// # Configuration
//
// A [Config] is what a configuration file holds; [ReadConfig] reads one.
// [Settings] is the table of all keys, with the flags of dml train, defaults and
// meanings; from it come the flags, the documentation (docs/configuration.md)
// and part of [Config.Validate], whose faults are [train.SettingError]s that
// carry their keys. [Config.Training] turns a configuration into the values
// that package train takes.
//
// # A run's life
//
// [Start] begins a run, [Resume] takes one up where it stopped, however that was,
// and [Run.Train] trains it: to its end, or until its context ends or its
// configuration stops it, and always so that it can be resumed to the bits that
// it would have come to. [Measure] says what a run would take. [Open] reads a
// run, also while it is under training: its students' states, metrics, events
// and reference samples.
//
// Data are opened here, and so are the teachers of mode distill (a student of a
// run, or a classifier in an ONNX file, [OpenTeacher]) and the files that
// students' initial weights come from (package warmstart).
//
// # Across to ONNX Runtime
//
// [Run.Export] writes students, or the cohort, to ONNX files, each after ONNX
// Runtime has given the outputs of the training code; [ExportStudent] and
// [ExportCohort] do so for states that are in no run. [Run.Evaluate] measures
// students with the training code, [EvaluateModels] exported ones with ONNX
// Runtime, on the same part of the same data.
//
// # The folder
//
//	NAME/config.yaml            the configuration, defaults written out
//	NAME/metrics.jsonl          one line an epoch
//	NAME/results.csv            one row a student, then the ensemble
//	NAME/events.jsonl           what happened to the run: stops, refused checkpoints
//	NAME/reference.ckpt         preprocessed samples that exports are verified on
//	NAME/progress.json          how far the newest states of all students are
//	NAME/STUDENT/best.ckpt      the state of the best validation accuracy
//	NAME/STUDENT/last.ckpt      the newest state
//	NAME/STUDENT/previous.ckpt  the newest before, in case the last is damaged
//	NAME/STUDENT/init.json      what the student's initial weights were loaded from
//	NAME/lock                   held by the process that trains
//
// A process killed at any moment leaves a folder that Resume takes up: the newest
// states of all students change together. It passes over checkpoints that are
// damaged or of another run, and says so.
package run
