package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// leastServing is the part of a bare loop's speed that package infer should
// reach.
const leastServing = 0.97

// inferContests compares package infer with a bare loop over onnxruntime_go,
// and with Python's onnxruntime where the setup's Python has it.
func inferContests(out io.Writer, setup Setup, threads int, osnet string) error {
	dir, err := os.MkdirTemp("", "dml-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	setup.Script = filepath.Join("bench", "infer_step.py")
	rivals := []string{roleBare, rolePython}
	if setup.Library, err = setup.pythonLibrary(); err != nil {
		fmt.Fprintf(out, "Python's onnxruntime is left out: %v\n", err)
		rivals = rivals[:1]
	}
	for _, work := range []Work{
		{Arch: "resnet32", Height: 32, Width: 32},
		{Arch: "mobilenet", Height: 160, Width: 64},
	} {
		for _, batch := range []int{1, 8, 64} {
			work.Students, work.Batch, work.Threads, work.Evaluate = 1, batch, threads, true
			s := setup
			if s.Model, err = exported(dir, work); err != nil {
				return err
			}
			if err := compare(out, s, contest{title: "infer: ", short: true, ours: roleInfer, work: work, rivals: rivals, ratio: leastServing}); err != nil {
				return err
			}
		}
	}
	return preparation(out, setup, threads, osnet)
}

// exported writes a student of random weights that the work is done with.
func exported(dir string, work Work) (string, error) {
	net, err := work.network()
	if err != nil {
		return "", err
	}
	weights, err := net.Init(1)
	if err != nil {
		return "", err
	}
	data, err := export.Marshal(net, weights, export.Options{})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, work.Arch+".onnx")
	return path, os.WriteFile(path, data, 0o644)
}

// preparation compares decoding and scaling JPEG crops of 64x128 pixels to
// 128x256 with the network that takes them, on the same cores.
func preparation(out io.Writer, setup Setup, threads int, osnet string) error {
	if _, err := os.Stat(osnet); err != nil {
		_, err = fmt.Fprintf(out, "preparation for OSNet is left out: %v; give its ONNX file by -osnet\n", err)
		return err
	}
	work := Work{Arch: "resnet8", Students: 1, Batch: 32, Height: 256, Width: 128, Threads: threads, Evaluate: true}
	setup.Model = osnet
	var all []*contender
	for _, role := range []string{rolePrepare, roleOSNet, roleEmbed} {
		c, err := setup.launch(role, work)
		if err != nil {
			return err
		}
		defer c.stop()
		all = append(all, c)
	}
	if err := alternate(all, setup.Pairs, 1, setup.Steps); err != nil {
		return err
	}
	fmt.Fprintf(out, "preparation: %d JPEG crops of 64x128 to 128x256, %d threads; %d turns of %d steps each, alternated\n",
		work.Batch, threads, setup.Pairs, setup.Steps)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmin s\tmedian s\tmax s\timages/s\tpeak MiB")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.0f\t%.0f\n", c.about, slices.Min(c.seconds), median(c.seconds), slices.Max(c.seconds),
			float64(work.Batch)/median(c.seconds), c.peak)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "images prepared / images the network takes, pairwise: %s\n", aim(median(all[1].over(all[0], false)), 1, true))
	return err
}

// pythonLibrary returns ONNX Runtime's library of the setup's Python, so that
// all contenders run the same, or "" where it is none that others can load or
// the user has chosen one. The error tells why Python cannot take part.
func (s Setup) pythonLibrary() (string, error) {
	c, err := s.launch(rolePython, Work{Arch: "none", Batch: 1, Threads: 1})
	if err != nil {
		return "", err
	}
	defer c.stop()
	_, library, _ := strings.Cut(c.about, " in ")
	if _, chosen := os.LookupEnv(ortlib.EnvLibrary); chosen {
		library = ""
	}
	return library, nil
}

// serveInference is a contender that infers.
func serveInference(role, model string, work Work, o *orders) error {
	ctx := context.Background()
	switch role {
	case roleInfer:
		return serveInfer(ctx, model, work, o)
	case roleBare:
		return serveBare(model, work, o)
	case rolePrepare, roleOSNet, roleEmbed:
		return serveCrops(ctx, role, model, work, o)
	}
	return errors.New("there is no role " + role)
}
