package train

import (
	"context"
	"io"

	"github.com/deepmutual/dml/dataset"
)

// Samples returns training samples as the students of a session of this
// configuration see them first, [m, C, H, W]: those of the first mini-batches that
// give n, or all that the first epoch has. Nil Cache of the options means the
// default.
func Samples(ctx context.Context, cfg Config, data dataset.Splits, opts Options, n int) ([]float32, error) {
	s := &Session{cfg: cfg.WithDefaults()}
	shape, err := s.prepare(data)
	if err != nil {
		return nil, err
	}
	if err := s.openLoaders(data, shape, opts); err != nil {
		return nil, err
	}
	epoch := s.loader.Epoch(ctx, 0, 0)
	defer epoch.Close()
	var out []float32
	for m := 0; m < n; {
		batch, err := epoch.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		out = append(out, batch.Images...)
		m += batch.N
	}
	return out, nil
}
