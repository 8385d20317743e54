package gallery

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// threshold is that of a search; nil for none.
type threshold struct {
	distance float64
	file     string
	of       *features.SearchThreshold // of a file
}

// searchThreshold reads --threshold.
func searchThreshold(ctx *cli.Context) (*threshold, error) {
	text := ctx.String("threshold")
	if text == "" {
		if ctx.IsSet("threshold") {
			return nil, console.Usagef("--threshold is empty")
		}
		return nil, nil
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		if !(v > 0 && v <= 2) {
			return nil, console.Usagef("--threshold: %v is not a cosine distance above 0 and up to 2", text)
		}
		return &threshold{distance: v}, nil
	}
	t, err := features.ReadSearchThreshold(text)
	if err != nil {
		return nil, err
	}
	return &threshold{t.Threshold, text, &t}, nil
}

// fits refuses a threshold that is not for a gallery, and says where it is for a
// smaller one.
func (t *threshold) fits(c *console.Console, path, fingerprint string, images int) error {
	if t == nil || t.of == nil {
		return nil
	}
	if t.of.Metric != reid.Cosine {
		return fmt.Errorf("%s is for %s distances, and galleries are searched by %s", t.file, t.of.Metric, reid.Cosine)
	}
	if t.of.Fingerprint() != fingerprint {
		return fmt.Errorf("%s: %w: it is not for %s; calibrate with the models and preparation of the gallery", t.file, reid.ErrFingerprint, path)
	}
	if most := t.of.Images(); float64(images) > 1.25*float64(most) {
		c.Say("note: %s was measured in galleries of %s images, and %s has %s: false alarms are more frequent than %s",
			t.file, console.Grouped(most), path, console.Grouped(images), console.Percent(t.of.Wanted))
	}
	return nil
}

func (t *threshold) value() *float64 {
	if t == nil {
		return nil
	}
	return &t.distance
}

// judge sets the verdicts.
func (t *threshold) judge(q *foundQuery) {
	if t == nil {
		return
	}
	nobody := true
	for i := range q.Hits {
		same := q.Hits[i].Distance < t.distance
		q.Hits[i].Same = &same
		nobody = nobody && !same
	}
	q.Nobody = &nobody
}
