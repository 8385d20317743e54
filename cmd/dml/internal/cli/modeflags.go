package cli

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/train"
)

// modeSettings lists the flags that say what students learn from whom.
func modeSettings() []setting {
	return []setting{
		textOr("mode", "mode", "dml", "`MODE` of learning: dml, dml_e, distill or independent", func(c *train.Config) *string { return (*string)(&c.Mode) }),
		textOr("order", "order", "simultaneous", "`ORDER` of updates: simultaneous or sequential", func(c *train.Config) *string { return (*string)(&c.Order) }),
		textOr("views", "views", "shared", "augmented `VIEWS` of an image: shared or per_student", func(c *train.Config) *string { return (*string)(&c.Views) }),
		number("mimicry.weight", "mimicry-weight", "1", "`W` of the mimicry loss", func(c *train.Config) *float64 { return fresh(&c.Mimicry.Weight) }),
		number("mimicry.warmup", "mimicry-warmup", "0", "let that weight rise for `N` epochs", func(c *train.Config) *float64 { return &c.Mimicry.Warmup }),
		integer("mimicry.warmup_steps", "mimicry-warmup-steps", "0", "let it rise for `N` steps", func(c *train.Config) *int { return &c.Mimicry.WarmupSteps }),
		nonzero(number("mimicry.temperature", "temperature", "1", "`T` of the posteriors that are mimicked", func(c *train.Config) *float64 { return &c.Mimicry.Temperature })),
		number("label_smoothing", "label-smoothing", "0", "spread the `PART` of each label over all classes", func(c *train.Config) *float64 { return &c.LabelSmoothing }),
		text("teacher.path", "teacher", "distill: learn from the classifier at `PATH`: an ONNX file, a checkpoint, or the folder of a run or of a student in one",
			func(c *train.Config) *string { return &c.Teacher.Path }),
		textOr("teacher.output", "teacher-output", "recognised", "`WHAT` its file gives: logits or probabilities", func(c *train.Config) *string { return &c.Teacher.Output }),
		{"teacher.mean", &cli.StringFlag{Name: "teacher-mean", Usage: "`MEANS` of its channels, as in 0.485,0.456,0.406, if its file does not say"},
			numbers("teacher-mean", func(c *train.Config) *[]float32 { return &c.Teacher.Mean })},
		{"teacher.std", &cli.StringFlag{Name: "teacher-std", Usage: "`DEVIATIONS` of its channels"},
			numbers("teacher-std", func(c *train.Config) *[]float32 { return &c.Teacher.Std })},
	}
}

// numbers makes the apply function of a flag with a list of numbers.
func numbers(name string, field func(*train.Config) *[]float32) func(*train.Config, *cli.Context) error {
	return func(cfg *train.Config, ctx *cli.Context) error {
		var values []float32
		for part := range strings.SplitSeq(ctx.String(name), ",") {
			v, err := strconv.ParseFloat(strings.TrimSpace(part), 32)
			if err != nil {
				return usagef("--%s: %q is not a list of numbers, as in 0.5,0.5,0.5", name, ctx.String(name))
			}
			values = append(values, float32(v))
		}
		*field(cfg) = values
		return nil
	}
}
