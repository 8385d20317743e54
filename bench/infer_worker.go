package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"github.com/deepmutual/dml/infer"
)

// The contenders of inference.
const (
	roleInfer   = "infer"          // package infer, raw tensors
	roleBare    = "onnxruntime_go" // its binding in a bare loop
	rolePython  = "onnxruntime"    // Python's
	rolePrepare = "prepare"        // package infer on JPEG files, without a network
	roleOSNet   = "osnet"          // package infer, raw tensors of that network
	roleEmbed   = "embed"          // both: from files to embeddings
)

// samples returns normal noise for a batch of the work.
func samples(work Work) []float32 {
	rng := rand.New(rand.NewPCG(1, 3))
	v := make([]float32, work.Batch*3*work.Height*work.Width)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// repeat says what computes, and then does steps as it is told.
func repeat(o *orders, about string, step func() error) error {
	if _, err := fmt.Fprintf(o.out, "0 %s\n", about); err != nil {
		return err
	}
	for {
		if err := o.next(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
		o.done()
	}
}

func serveInfer(ctx context.Context, model string, work Work, o *orders) error {
	m, err := infer.Open(infer.Options{Threads: work.Threads}, model)
	if err != nil {
		return err
	}
	defer m.Close()
	in := samples(work)
	return repeat(o, "infer.Model.Run, ONNX Runtime "+m.Info().Runtime, func() error {
		_, err := m.Run(ctx, in, work.Batch)
		return err
	})
}

// idle stands where a network would: it takes prepared images and forgets them.
type idle struct{ work Work }

func (i idle) Describe() infer.Description {
	return infer.Description{
		Input:     infer.TensorInfo{Name: "images", Dims: []int64{-1, 3, int64(i.work.Height), int64(i.work.Width)}},
		Embedding: infer.TensorInfo{Name: "none", Dims: []int64{-1, 1}},
	}
}

func (i idle) Run(_ context.Context, n int, fill func(infer.Input) error) (infer.Outputs, error) {
	in := infer.Input{Float32: make([]float32, n*3*i.work.Height*i.work.Width)}
	return infer.Outputs{N: n, Embedding: make([]float32, n)}, fill(in)
}

func (idle) Close() error { return nil }

// serveCrops prepares JPEG crops, runs OSNet on prepared ones, or both.
func serveCrops(ctx context.Context, role, model string, work Work, o *orders) error {
	preset, err := infer.PresetByName("torchreid")
	if err != nil {
		return err
	}
	opts := infer.Options{Preset: &preset, Threads: work.Threads, MaxBatch: work.Batch}
	crops, err := jpegCrops(work.Batch)
	if err != nil {
		return err
	}
	var m *infer.Model
	if role == rolePrepare {
		m, err = infer.New(opts, idle{work})
	} else {
		m, err = infer.Open(opts, model)
	}
	if err != nil {
		return err
	}
	defer m.Close()
	if role == roleOSNet {
		in := samples(work)
		return repeat(o, "the network alone", func() error {
			_, err := m.Run(ctx, in, work.Batch)
			return err
		})
	}
	about := "files to embeddings"
	if role == rolePrepare {
		about = "preparation alone"
	}
	return repeat(o, about, func() error {
		_, err := m.Embed(ctx, crops...)
		return err
	})
}

// jpegCrops encodes smooth pictures of 64x128 pixels.
func jpegCrops(n int) ([]infer.Image, error) {
	rng := rand.New(rand.NewPCG(5, 6))
	var crops []infer.Image
	for range n {
		img := image.NewNRGBA(image.Rect(0, 0, 64, 128))
		phase := rng.Float64() * 6
		for y := range 128 {
			for x := range 64 {
				wave := func(period float64) uint8 {
					v := 128 + 80*math.Sin(phase+float64(x)/period)*math.Cos(float64(y)/period) + 12*rng.NormFloat64()
					return uint8(min(max(v, 0), 255))
				}
				img.SetNRGBA(x, y, color.NRGBA{wave(7), wave(11), wave(19), 255})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
			return nil, err
		}
		crops = append(crops, infer.FromBytes(b.Bytes()))
	}
	return crops, nil
}
