package reid

import (
	"context"
	"errors"
	"testing"
)

// countdown ends a context at the nth row that is finished.
type countdown struct {
	left   int
	cancel context.CancelFunc
}

func (c *countdown) rows([]float32, int, int) error { return nil }

func (c *countdown) finish([]float32, int, int) {
	if c.left--; c.left == 0 {
		c.cancel()
	}
}

func (c *countdown) reported(d float64) float64 { return d }

func (c *countdown) exact(int, int32, int) float64 { return 0 }

func (c *countdown) slack(int, int) float32 { return 0 }

// TestEndsWithinABlock: a block of rows can take minutes.
func TestEndsWithinABlock(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	used := 0
	err := forEachBlock(ctx, &countdown{3, cancel}, 1000, 10, 1, func([]float32, int, int) { used++ })
	if !errors.Is(err, context.Canceled) || used != 3 {
		t.Errorf("%v after %d rows", err, used)
	}
}

// TestRerankEnds ends re-ranking when the neighbours are known.
func TestRerankEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := single(Gonum{})
	multiply := a.multiply
	a.multiply = func(c, x, y []float32, m, n, k int) error { // the only block of all pairs
		defer cancel()
		return multiply(c, x, y, m, n, k)
	}
	all := matrix[float32]{[]float32{0, 1, 2, 3}, 1}
	if _, err := newReranked(ctx, a, all, 2, Rerank{}.withDefaults(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
