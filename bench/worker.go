package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/kernel/onednn"
	"github.com/deepmutual/dml/train"
)

// serve runs steps of a real training session on random images as it is told
// on in.
func serve(work Work, in io.Reader, out io.Writer) error {
	backend, err := onednn.Open()
	if err != nil {
		return err
	}
	data, err := randomImages(4 * work.Batch)
	if err != nil {
		return err
	}
	cfg := train.Config{Data: train.DataConfig{Path: "random"}, Mode: train.ModeDML, Epochs: 1 << 30, Batch: work.Batch, Threads: work.Threads}
	for range work.Students {
		cfg.Students = append(cfg.Students, train.StudentConfig{Arch: work.Arch})
	}
	if work.Students == 1 {
		cfg.Mode = train.ModeIndependent
	}
	session, err := train.New(cfg, data, backend)
	if err != nil {
		return err
	}
	defer session.Close()
	info := backend.Info()
	fmt.Fprintf(out, "%s %s, %s\n", info.Name, info.Version, info.ISA)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	orders := bufio.NewScanner(in)
	var seconds []float64
	todo := 0
	next := func() { // waits for an order once the last is done
		for todo == 0 {
			if seconds != nil {
				answer, _ := json.Marshal(seconds) // numbers always marshal
				fmt.Fprintf(out, "%s\n", answer)
				seconds = nil
			}
			if !orders.Scan() {
				cancel()
				return
			}
			todo, _ = strconv.Atoi(strings.TrimSpace(orders.Text())) // no number is no order
		}
	}
	next()
	begin := time.Now()
	_, err = session.Run(ctx, discard{}, train.Events{
		Step: func(r train.StepReport) {
			seconds = append(seconds, time.Since(begin).Seconds())
			todo--
			next()
			begin = time.Now()
		},
		Epoch: func(train.EpochReport) { begin = time.Now() }, // evaluation is no step
	})
	return err
}

func randomImages(n int) (dataset.Splits, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	pix, labels := make([]uint8, n*3*32*32), make([]uint8, n)
	for i := range pix {
		pix[i] = uint8(rng.Uint32())
	}
	classes := make([]string, 100)
	for i := range classes {
		classes[i] = strconv.Itoa(i)
	}
	for i := range labels {
		labels[i] = uint8(rng.IntN(len(classes)))
	}
	all, err := dataset.NewMemory("random", classes, dataset.Shape{Channels: 3, Height: 32, Width: 32}, pix, labels)
	if err != nil {
		return dataset.Splits{}, err
	}
	val, err := dataset.Subset(all, []int{0, 1, 2, 3})
	return dataset.Splits{Train: all, Val: val}, err
}

// discard is a store that keeps nothing.
type discard struct{}

func (discard) SaveLast([]train.State) error  { return nil }
func (discard) SaveBest(train.State) error    { return nil }
func (discard) Epoch(train.EpochReport) error { return nil }
