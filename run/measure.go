package run

import (
	"context"
	"errors"
	"time"

	"github.com/deepmutual/dml/train"
)

// Plan is what a run would take.
type Plan struct {
	train.Estimate
	Config   Config
	Machine  train.Machine
	Backend  *train.Backend
	Initial  []Initial
	Warnings []string // what is probably a mistake
}

// Measure makes a few real steps of a run, for about budget, and estimates what
// the whole takes. It writes nothing.
func Measure(ctx context.Context, cfg Config, budget time.Duration, opts Options) (Plan, error) {
	cfg, sources, err := settle(cfg, opts)
	if err != nil {
		return Plan{}, err
	}
	j, err := prepare(ctx, cfg, opts, sources)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Config: cfg, Machine: j.session.Machine(), Backend: j.backend, Initial: j.initial, Warnings: j.session.Warnings()}
	plan.Estimate, err = j.session.Measure(ctx, budget)
	return plan, errors.Join(err, j.close())
}
