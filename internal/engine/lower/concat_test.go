package lower_test

import (
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// inception is a block of four branches, whose channels do and do not fill
// blocks, between trained layers. The smooth one has no kinks that finite
// differences would meet.
func inception(t *testing.T, smooth bool) *models.Network {
	t.Helper()
	b := models.NewBuilder("inception", models.Shape{C: 3, H: 7, W: 5}, 3)
	unit := func(name, in string, out, side int) string {
		x := b.Conv(name, in, models.Conv{Out: out, Kernel: models.Square(side), Pad: models.PadAll(side / 2)})
		if x = b.BatchNorm(name+".bn", x, models.BatchNorm{}); smooth {
			return x
		}
		return b.ReLU(name+".relu", x)
	}
	window := models.Pool{Kernel: models.Square(3), Pad: models.PadAll(1)}
	x := unit("stem", b.Input(), 8, 3)
	pooled := b.MaxPool
	if smooth {
		pooled = b.AvgPool
	}
	x = b.Concat("block", unit("a", x, 16, 1), unit("b", x, 5, 3), x, unit("c", pooled("pool", x, window), 6, 1))
	x = b.Concat("features", b.GlobalAvgPool("mean", x), b.Flatten("flat", unit("squeeze", x, 2, 1)))
	net, err := b.Build(b.Dense("logits", b.Dropout("drop", x, models.Dropout{Rate: 0.4}), models.Dense{Out: 3}), x)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func TestInceptionBlock(t *testing.T) {
	checkGradients(t, inception(t, true), 2)
	net := inception(t, false)
	checkExported(t, net, 2)
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		checkForward(t, net, engine, lower.Options{Batch: 3, Training: true})
		checkForward(t, net, engine, lower.Options{Batch: 1})
	})
	t.Run("allocations", func(t *testing.T) {
		n := compile(t, net, newEngine(t, openOneDNN(t)), lower.Options{Batch: 2, Training: true})
		gradients(t, n)
		if allocs := testing.AllocsPerRun(20, func() { run(t, n.Forward, n.Backward) }); allocs != 0 {
			t.Errorf("a step allocates %g times", allocs)
		}
	})
}
