package run

import (
	"fmt"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// OpenData opens the data of a run with the parts that it trains and validates
// on.
func (c Config) OpenData() (dataset.Splits, error) {
	data, err := dataset.Open(c.Data.Path, dataset.Options{
		Kind: c.Data.Kind, Pattern: c.Data.Pattern, TestFraction: dataset.DefaultTestFraction, Seed: c.Seed,
	})
	if err != nil {
		return dataset.Splits{}, err
	}
	if c.Data.Limit > 0 {
		if data.Train, err = dataset.Limit(data.Train, c.Data.Limit, c.Seed); err != nil {
			return dataset.Splits{}, fmt.Errorf("%s: %w", c.Data.Path, err)
		}
	}
	data, err = data.CarveVal(c.Data.Validation, c.Seed)
	if err != nil {
		return dataset.Splits{}, fmt.Errorf("%s: %w", c.Data.Path, err)
	}
	return data, nil
}

// Training returns what a session of package train takes of the configuration,
// whose defaults are written out, with networks for the images and classes of
// the data.
func (c Config) Training(data dataset.Splits) (train.Config, train.Options, error) {
	v := c.values()
	opts := train.Options{Cache: dataset.NewCache(int64(*c.Data.Cache) << 20), Identity: c.identity()}
	shape, err := dataset.ShapeOf(data.Train)
	if err != nil {
		return v, opts, err
	}
	if c.Data.Height == 0 {
		if err := dataset.CheckSizes(data.Train); err != nil {
			return v, opts, &train.SettingError{Key: "data.height", Err: err}
		}
	}
	input := models.Shape{C: shape.Channels, H: shape.Height, W: shape.Width}
	if c.Data.Height > 0 {
		input.H, input.W = c.Data.Height, c.Data.Width
	}
	for i := range v.Students {
		if v.Students[i].Network, err = c.network(i, input, len(data.Train.Classes())); err != nil {
			return v, opts, err
		}
	}
	return v, opts, nil
}

// identity is what a training does not know of the configuration and that must
// be the same when a run goes on.
func (c Config) identity() map[string]string {
	id := map[string]string{
		"data.kind": string(c.Data.Kind), "data.pattern": c.Data.Pattern, "data.limit": fmt.Sprint(c.Data.Limit),
		"data.validation": fmt.Sprint(c.Data.Validation), "teacher.output": c.Teacher.Output,
	}
	for i, s := range c.Students {
		id[fmt.Sprintf("students[%d].init_sha256", i)] = s.InitSHA256 // which tells the file from others, wherever it is
	}
	for i := range c.Teacher.Mean {
		id[fmt.Sprintf("teacher.mean[%d]", i)] = fmt.Sprint(c.Teacher.Mean[i])
	}
	for i := range c.Teacher.Std {
		id[fmt.Sprintf("teacher.std[%d]", i)] = fmt.Sprint(c.Teacher.Std[i])
	}
	return id
}
