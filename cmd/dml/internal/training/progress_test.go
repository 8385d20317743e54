package training

import (
	"bytes"
	"strings"
	"testing"

	"github.com/deepmutual/dml/train"
)

// TestBars draws bars into a buffer, complete and interrupted.
func TestBars(t *testing.T) {
	for _, steps := range []int{8, 3} {
		var buf bytes.Buffer
		cfg := train.Config{Mode: train.ModeDML, Epochs: 2, Students: []train.Student{{Name: "alpha"}, {Name: "beta"}}}
		b := newBars(&buf, cfg)
		for i := range steps {
			b.Step(train.StepReport{Epoch: i/4 + 1, Epochs: 2, Step: i%4 + 1, Steps: 4, ImagesPerSecond: 321,
				Students: []train.StudentStep{{Loss: 1.25, Mimicry: .5, Accuracy: .75}, {Loss: 2.25}}})
		}
		b.Epoch(train.EpochReport{Students: []train.StudentEpoch{{}, {}}})
		b.Finish()
		for _, want := range []string{"alpha", "beta", "loss 1.250 mimicry 0.500 acc. 75.0%", "loss 2.250", "cohort 321 images/s", "left"} {
			if !strings.Contains(buf.String(), want) {
				t.Errorf("%d steps: the bars lack %q:\n%q", steps, want, buf.String())
			}
		}
	}
}
