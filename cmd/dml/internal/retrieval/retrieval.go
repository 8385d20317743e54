// Package retrieval holds the verbs of dml reid, but for those of galleries.
package retrieval

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
)

// Command is dml reid, with commands of other packages below it.
func Command(c *console.Console, more ...*cli.Command) *cli.Command {
	return &cli.Command{
		Name:        "reid",
		Usage:       "re-identify people: features, scores, rankings, thresholds, synthetic pedestrians",
		UsageText:   "dml reid COMMAND [arguments] [flags]",
		Subcommands: append([]*cli.Command{extractCommand(c), evalCommand(c), rankCommand(c), calibrateCommand(c), verifyCommand(c), synthCommand(c)}, more...),
	}
}

// metricFlag is that of commands that compare features.
func metricFlag() cli.Flag {
	return &cli.StringFlag{Name: "metric", Value: string(reid.Cosine), Usage: "compare by `cosine|euclidean|dot`; dot takes features as they are"}
}

func metricOf(ctx *cli.Context) (reid.Metric, error) {
	m := reid.Metric(ctx.String("metric"))
	if !slices.Contains(reid.Metrics(), m) {
		return "", console.Usagef("--metric: %q is unknown; use cosine, euclidean or dot", m)
	}
	return m, nil
}

// zeroIsIdentityFlag is that of commands that go by the protocol.
func zeroIsIdentityFlag() cli.Flag {
	return &cli.BoolFlag{Name: "zero-is-identity", DisableDefaultText: true, Usage: "pid 0 is a person, as in MSMT17, not a distractor"}
}
