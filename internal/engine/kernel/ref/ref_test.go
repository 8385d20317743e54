package ref_test

import (
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/kerneltest"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
)

// TestConformance cannot learn from the comparison with ref itself, other than
// that layouts and threads agree; finite differences and literals are the check.
func TestConformance(t *testing.T) {
	kerneltest.Run(t, ref.New(), kerneltest.Options{
		Layouts: []kernel.Layout{kernel.NHWC, kernel.NChw8c, kernel.NChw16c},
	})
}
