package train

import (
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// counted is a backend that counts what its engines allocate, in bytes.
type counted struct {
	kernel.Backend
	bytes *int64
}

func (c counted) NewEngine(opts kernel.EngineOptions) (kernel.Engine, error) {
	engine, err := c.Backend.NewEngine(opts)
	return countedEngine{engine, c.bytes}, err
}

type countedEngine struct {
	kernel.Engine
	bytes *int64
}

func (c countedEngine) Alloc(n int) ([]float32, error) {
	*c.bytes += 4 * int64(n)
	return c.Engine.Alloc(n)
}

// TestPlanEqualsWhatIsAllocated compiles a student of every architecture and
// counts.
func TestPlanEqualsWhatIsAllocated(t *testing.T) {
	const batch, classes = 2, 10
	shape := models.Shape{C: 3, H: 32, W: 32}
	for _, backend := range goldenBackends(t) {
		t.Run(backend.Info().Name, func(t *testing.T) {
			for i, a := range models.Catalog() {
				net, err := models.Build(a.Name, shape, classes)
				if err != nil {
					t.Fatal(err)
				}
				var optimizer optim.Optimizer
				if i%2 == 1 {
					optimizer = optim.Adam{}
				}
				var bytes int64
				c := counted{backend, &bytes}
				planned, err := PlanMemory(net, batch, optimizer, newBackend(c))
				if err != nil {
					t.Fatal(err)
				}
				if bytes != 0 {
					t.Errorf("%s: planning allocated %d bytes", a.Name, bytes)
				}
				allocated := allocate(t, c, net, batch, optimizer)
				if planned.Total() != allocated {
					t.Errorf("%s: %+v is %d bytes, a student allocates %d", a.Name, planned, planned.Total(), allocated)
				}
				if planned.Weights == 0 || planned.Gradients == 0 || planned.Activations == 0 || planned.Evaluation == 0 || planned.Optimizer == 0 {
					t.Errorf("%s: a part is missing: %+v", a.Name, planned)
				}
			}
		})
	}
}

// allocate makes a student and returns the bytes that its engine handed out,
// without those of its losses.
func allocate(t *testing.T, c counted, net *models.Network, batch int, optimizer optim.Optimizer) int64 {
	t.Helper()
	w := newWorker()
	defer w.close()
	var allocated int64
	err := withEngine(w, c, 1, func(engine kernel.Engine) error {
		loss := objectiveSpec{batch: batch, classes: net.Classes, targets: 1}
		if _, err := newStudent("student", w, engine, net, 1, loss, Config{Optimizer: optimizer}.WithDefaults().updateRule(Student{}, 1)); err != nil {
			return err
		}
		allocated = *c.bytes
		_, err := newObjective(engine, loss)
		allocated -= *c.bytes - allocated
		return err
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return allocated
}

// A network that shares its parameters allocates no copy of them.
func TestSharingAllocatesNoWeights(t *testing.T) {
	net, err := models.Build("resnet8", models.Shape{C: 3, H: 16, W: 16}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, backend := range goldenBackends(t) {
		var bytes int64
		w := newWorker()
		defer w.close()
		err := withEngine(w, counted{backend, &bytes}, 1, func(engine kernel.Engine) error {
			training, err := lower.Compile(net, engine, lower.Options{Batch: 2, Training: true})
			if err != nil {
				return err
			}
			before := bytes
			eval, err := lower.Compile(net, engine, lower.Options{Batch: 2, Share: training})
			if err != nil {
				return err
			}
			if m := eval.Memory(); m.Weights != 0 || m.Total() != bytes-before {
				t.Errorf("%s: a sharing network says %+v and allocates %d bytes", backend.Info().Name, m, bytes-before)
			}
			return nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
}
