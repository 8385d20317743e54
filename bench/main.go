// Command bench times a step of mutual learning against PyTorch, inference
// against ONNX Runtime without package infer, the evaluation of
// re-identification against torchreid, and the search of a large gallery: all of
// them, or those that -train, -infer, -reid and -gallery name.
//
// Every contender is a process of its own that prepares the same work and then
// waits; the bench lets one run a few steps, then the next, in turn, so that a
// machine that gets slower or faster does so for all. It prints the medians
// over all steps, the ratio of each contender's median to ours, and how near
// all come to the machine's limits, which it measures first.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/deepmutual/dml/models"
)

func main() {
	var work Work
	flag.StringVar(&work.Arch, "arch", "resnet32", "architecture of every student")
	flag.IntVar(&work.Students, "students", 2, "number of students")
	flag.IntVar(&work.Batch, "batch", 64, "images a mini-batch")
	flag.IntVar(&work.Height, "height", 32, "of the images")
	flag.IntVar(&work.Width, "width", 32, "of the images")
	flag.BoolVar(&work.Evaluate, "evaluate", false, "time the forward pass of evaluation instead of a training step")
	flag.IntVar(&work.Threads, "threads", runtime.NumCPU(), "threads of each contender")
	flag.BoolVar(&work.BFloat16, "bfloat16", false, "train in bfloat16: PyTorch under autocast")
	setup := Setup{Python: envOr("DML_PYTHON", "python3"), Script: filepath.Join("bench", "dml_step.py")}
	flag.IntVar(&setup.Pairs, "pairs", 8, "turns of each contender")
	flag.IntVar(&setup.Steps, "steps", 4, "steps a turn")
	flag.StringVar(&setup.Python, "python", setup.Python, "Python with torch ($DML_PYTHON)")
	flag.StringVar(&setup.Script, "script", setup.Script, "the PyTorch contender")
	rivals := flag.String("rivals", "", "comma-separated rivals: contiguous, channels_last, compile (PyTorch's), gorgonia; runs one comparison of the work that the flags describe instead of the whole suite")
	flag.StringVar(&setup.Model, "model", "", "ONNX file of a contender that infers; set by the bench itself")
	training := flag.Bool("train", false, "compare training and evaluation with PyTorch")
	inference := flag.Bool("infer", false, "compare inference with a bare loop and Python's onnxruntime")
	gallery := flag.Bool("gallery", false, "time the search of a gallery of 1,000,000 x 512 features on disk (in $DML_BENCH_DIR, else a temporary folder)")
	identify := flag.Bool("reid", false, "compare the evaluation of re-identification with torchreid")
	reranking := flag.Bool("rerank", true, "compare re-ranking too, at which torchreid takes minutes and 13 GB")
	flag.StringVar(&setup.Dir, "dir", "", "folder of a contender's data; set by the bench itself")
	osnet := flag.String("osnet", filepath.Join("..", "shared", "data", "osnet_x0_25_msmt17.onnx"), "an OSNet x0.25, to compare the preparation of its images with")
	role := flag.String("role", "", "run as a contender; started by the bench itself")
	where := flag.Bool("breakdown", false, "print where one student's step spends its time, instead")
	limits := flag.Bool("limits", false, "print the machine and its limits, instead")
	flag.Parse()
	var err error
	switch {
	case *role == "gallery":
		err = buildGallery(os.Stdout, flag.Args())
	case *role == "gallery-search":
		err = searchGallery(os.Stdout, flag.Args(), work.Threads)
	case *role != "":
		err = serve(*role, setup, work, os.Stdin, os.Stdout)
	case *where:
		err = breakdown(work, setup.Steps, os.Stdout)
	default:
		if setup.Limits, err = describe(os.Stdout, work.Threads); err != nil || *limits {
			break
		}
		if *rivals != "" {
			err = compare(os.Stdout, setup, contest{work: work, rivals: strings.Split(*rivals, ",")})
			break
		}
		parts := []struct {
			alone bool
			run   func() error
		}{
			{*training, func() error { return suite(os.Stdout, setup, work.Threads) }},
			{*inference, func() error { return inferContests(os.Stdout, setup, work.Threads, *osnet) }},
			{*identify, func() error { return reidContests(os.Stdout, setup, work.Threads, *reranking) }},
			{*gallery, func() error { return galleryContest(os.Stdout, 1_000_000, 512, work.Threads) }},
		}
		all := !*training && !*inference && !*identify && !*gallery
		for _, p := range parts {
			if all || p.alone {
				err = errors.Join(err, p.run())
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// Work is what every contender does.
type Work struct {
	Arch                     string
	Students, Batch, Threads int
	Height, Width            int
	Evaluate, BFloat16       bool
}

func (w Work) String() string {
	what := "a mutual learning step"
	switch {
	case w.Evaluate:
		what = "an evaluation forward pass"
	case w.Students == 1:
		what = "a training step"
	}
	precision := ""
	if w.BFloat16 {
		precision = " in bfloat16"
	}
	return fmt.Sprintf("%s%s of %s x%d, batch %d of %dx%d, %d threads", what, precision, w.Arch, w.Students, w.Batch, w.Height, w.Width, w.Threads)
}

// network describes one student.
func (w Work) network() (*models.Network, error) {
	return models.Build(w.Arch, models.Shape{C: 3, H: w.Height, W: w.Width}, classes)
}

// operations is the floating-point operations of a step: two for each
// multiply-add of the convolutions and dense layers. Training takes three times
// those of the forward pass: gradients of data and weights cost as much each.
func (w Work) operations() (float64, error) {
	net, err := w.network()
	if err != nil {
		return 0, err
	}
	one, err := net.MultiplyAdds()
	passes := 3
	if w.Evaluate {
		passes = 1
	}
	return 2 * float64(one) * float64(passes*w.Batch*w.Students), err
}

func (w Work) args() []string {
	args := []string{"--arch", w.Arch}
	for _, a := range []struct {
		name  string
		value int
	}{{"students", w.Students}, {"batch", w.Batch}, {"threads", w.Threads}, {"height", w.Height}, {"width", w.Width}} {
		args = append(args, "--"+a.name, strconv.Itoa(a.value))
	}
	if w.Evaluate {
		args = append(args, "--evaluate")
	}
	if w.BFloat16 {
		args = append(args, "--bfloat16")
	}
	return args
}
