package infertest_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"slices"
	"testing"
	"time"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/infer/infertest"
)

func plain(c color.Color) infer.Image {
	m := image.NewNRGBA(image.Rect(0, 0, 20, 10))
	for y := range 10 {
		for x := range 20 {
			m.Set(x, y, c)
		}
	}
	return infer.FromImage(m)
}

func TestFake(t *testing.T) {
	f, err := infertest.New(infertest.Options{
		Classes: []string{"dark", "bright"}, Features: 3,
		Logits: func(sample []float32) []float32 { return []float32{1 - sample[0], sample[0]} },
		Infer:  infer.Options{TopK: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	got, err := f.Predict(ctx, plain(color.Black), plain(color.White))
	if err != nil || got[0].Top[0].Label != "dark" || got[1].Top[0].Label != "bright" {
		t.Errorf("%+v, %v", got, err)
	}
	a, err := f.Embed(ctx, plain(color.White), plain(color.White), plain(color.NRGBA{200, 0, 0, 255}))
	if err != nil || len(a) != 3 || len(a[0]) != 3 || !slices.Equal(a[0], a[1]) || slices.Equal(a[0], a[2]) {
		t.Errorf("%v, %v", a, err)
	}
	if f.Samples() != 5 {
		t.Errorf("%d samples", f.Samples())
	}
	fault := errors.New("no luck")
	f.FailWith(fault)
	if _, err := f.Predict(ctx, plain(color.White)); !errors.Is(err, fault) {
		t.Errorf("told to fail: %v", err)
	}
	f.FailWith(nil)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Predict(ctx, plain(color.White)); !errors.Is(err, infer.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestFakeInRoles puts fakes where a program has models.
func TestFakeInRoles(t *testing.T) {
	a, err := infertest.New(infertest.Options{Features: 4})
	if err != nil {
		t.Fatal(err)
	}
	b, err := infertest.New(infertest.Options{Features: 6, Delay: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c, err := infer.New(infer.Options{Join: &infer.Joining{}}, a.Backend(), b.Backend())
	if err != nil {
		t.Fatal(err)
	}
	if c.Info().Features != 10 || c.Info().Students != 2 {
		t.Errorf("%+v", c.Info())
	}
	m, err := infertest.New(infertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Replace(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.Predict(ctx, plain(color.White)); !errors.Is(err, infer.ErrCancelled) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow: %v", err)
	}
	if a.Samples() != 1 || b.Samples() != 0 {
		t.Errorf("%d and %d samples", a.Samples(), b.Samples())
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for _, opts := range []infertest.Options{
		{Classes: []string{"one"}}, {Channels: -1}, {Height: -3}, {Features: -1}, {Infer: infer.Options{TopK: -1}}, {Channels: 2},
	} {
		f, err := infertest.New(opts)
		if err != nil {
			continue
		}
		// Two channels are no image: the fake takes raw tensors alone.
		if _, err := f.Predict(context.Background(), plain(color.White)); err == nil {
			t.Errorf("%+v was taken", opts)
		}
	}
	f, err := infertest.New(infertest.Options{Logits: func([]float32) []float32 { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Predict(context.Background(), plain(color.White)); err == nil {
		t.Error("too few logits were taken")
	}
}
