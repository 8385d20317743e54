// Package setup holds the verbs that look after the machine: doctor and runtime.
package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
)

// DoctorCommand is dml doctor.
func DoctorCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "say what this machine has, and what to type for what is missing",
		UsageText: "dml doctor [--json]",
		Description: "The exit code is 0 if training, export and inference all work here.\n" +
			"Without oneDNN they do, but training is slow.",
		Flags:  []cli.Flag{console.JSONFlag()},
		Action: func(ctx *cli.Context) error { return runDoctor(c, ctx) },
	}
}

// finding is what is known about one native library.
type finding struct {
	Found   bool   `json:"found"`
	Library string `json:"library,omitempty"`
	Version string `json:"version,omitempty"`
	Origin  string `json:"origin,omitempty"` // of ONNX Runtime: where it was found
	API     string `json:"api,omitempty"`    // of oneDNN: v2 or v3
	ISA     string `json:"isa,omitempty"`    // of oneDNN: instruction set in use
	Problem string `json:"problem,omitempty"`
	Fix     string `json:"fix,omitempty"` // what to type
}

// Diagnosis is the answer of dml doctor.
type Diagnosis struct {
	OK          bool    `json:"ok"`
	Version     string  `json:"version"`
	Go          string  `json:"go"`
	Platform    string  `json:"platform"`
	Cores       int     `json:"cores"`
	Threads     int     `json:"threads"`
	OneDNN      finding `json:"onednn"`
	ONNXRuntime finding `json:"onnx_runtime"`
	Cache       string  `json:"cache"`
}

func diagnose(c *console.Console, ctx context.Context) Diagnosis {
	d := Diagnosis{
		Version: console.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), Threads: runtime.GOMAXPROCS(0),
		OneDNN: findOneDNN(), ONNXRuntime: findONNXRuntime(c, ctx),
	}
	if d.ONNXRuntime.Fix == buildWithCgo && !d.OneDNN.Found {
		d.OneDNN.Fix = buildWithCgo
	}
	d.OK = d.ONNXRuntime.Found
	d.Cache, _ = ortlib.CacheRoot() // empty for a user without a home folder
	return d
}

func findOneDNN() finding {
	backend, err := onednn.Open()
	if err != nil {
		release, _ := os.ReadFile("/etc/os-release") // only some systems have it
		return finding{Problem: err.Error(), Fix: installOneDNN(runtime.GOOS, string(release), os.Getenv(onednn.LibraryVariable))}
	}
	info := backend.Info()
	major, _, _ := strings.Cut(info.Version, ".")
	return finding{Found: true, Library: info.Library, Version: info.Version, API: "v" + major, ISA: info.ISA}
}

// findONNXRuntime finds the library and runs a small network on it, since only
// that proves that it works here.
func findONNXRuntime(c *console.Console, ctx context.Context) finding {
	err := tryRuntime(ctx)
	var lib ortlib.Library
	if err == nil {
		lib, err = ortlib.Find("")
	}
	if errors.Is(err, infer.ErrNoCgo) {
		return finding{Problem: err.Error(), Fix: buildWithCgo}
	}
	if err != nil {
		return finding{Problem: err.Error(), Fix: runtimeFix(c, os.Getenv(ortlib.EnvLibrary))}
	}
	return finding{Found: true, Library: lib.Path, Version: lib.Version, Origin: lib.Origin}
}

func tryRuntime(ctx context.Context) (err error) {
	net, err := models.Build("convnet", models.Shape{C: 1, H: 8, W: 8}, 2)
	if err != nil {
		return err
	}
	weights, err := net.Init(1)
	if err != nil {
		return err
	}
	file, err := export.Marshal(net, weights, export.Options{})
	if err != nil {
		return err
	}
	model, err := infer.OpenBytes(infer.Options{}, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	_, err = model.Run(ctx, make([]float32, net.Input.Size()), 1)
	return err
}

// buildWithCgo is what to type where dml was built without cgo, which loads no
// library.
const buildWithCgo = "CGO_ENABLED=1 go install github.com/deepmutual/dml/cmd/dml@latest   (needs a C compiler; `dml infer` and `dml eval` work without, with --engine onnx-go)"

// runtimeFix says how to get ONNX Runtime. A library that the environment names is
// used whatever else is installed; and it is installed into a folder that there must
// be.
func runtimeFix(c *console.Console, named string) string {
	fix := c.Command("runtime", "install")
	if !cacheUsable() {
		fix = "export " + ortlib.EnvCache + "=DIR   (a folder that you may write to), then " + fix
	}
	if named != "" {
		fix = "unset " + ortlib.EnvLibrary + " && " + fix
	}
	return fix
}

// cacheUsable reports whether the cache folder is there or can be made, and takes
// files.
func cacheUsable() bool {
	dir, err := ortlib.CacheRoot()
	if err != nil {
		return false
	}
	for { // up to what is there
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		if up := filepath.Dir(dir); up != dir && errors.Is(err, fs.ErrNotExist) {
			dir = up
			continue
		}
		return false
	}
	f, err := os.CreateTemp(dir, ".dml-doctor-*")
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(f.Name())) == nil
}

// installOneDNN says how to get oneDNN's runtime library on a system with that
// content of /etc/os-release. A library that the environment names is used
// whatever else is installed.
func installOneDNN(goos, osRelease, named string) string {
	if named != "" {
		return "unset " + onednn.LibraryVariable
	}
	if goos == "darwin" {
		return "brew install onednn"
	}
	fields := make(map[string]string)
	for lines := bufio.NewScanner(strings.NewReader(osRelease)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		fields[key] = strings.Trim(value, `"'`)
	}
	release, _ := strconv.ParseFloat(fields["VERSION_ID"], 64) // 0 in a release without number
	switch {
	case fields["ID"] == "debian" && release != 0 && release < 13, fields["ID"] == "ubuntu" && release < 24:
		return "sudo apt-get install libdnnl2"
	case fields["ID"] == "debian", fields["ID"] == "ubuntu":
		return "sudo apt-get install libdnnl3"
	}
	return "install oneDNN (libdnnl.so.3 or libdnnl.so.2) with the system's package manager, or set " +
		onednn.LibraryVariable + " to its path"
}

func runDoctor(c *console.Console, ctx *cli.Context) error {
	if err := console.NoArguments(ctx); err != nil {
		return err
	}
	d := diagnose(c, ctx.Context)
	if ctx.Bool("json") {
		if err := console.WriteJSON(c.Stdout, d); err != nil {
			return err
		}
	} else if err := printDiagnosis(c, d); err != nil {
		return err
	}
	if !d.OK {
		return console.ErrReported
	}
	return nil
}

func printDiagnosis(c *console.Console, d Diagnosis) error {
	dnn, ort := "missing: training is slow", "missing: no export, no inference"
	if d.OneDNN.Found {
		dnn = fmt.Sprintf("%s (API %s, %s), %s", d.OneDNN.Version, d.OneDNN.API, d.OneDNN.ISA, d.OneDNN.Library)
	}
	if d.ONNXRuntime.Found {
		ort = fmt.Sprintf("%s (%s), %s", d.ONNXRuntime.Version, d.ONNXRuntime.Origin, d.ONNXRuntime.Library)
	}
	err := console.Table(c.Stdout, [][]string{
		{"dml", fmt.Sprintf("%s, %s, %s", d.Version, d.Go, d.Platform)},
		{"processor", fmt.Sprintf("%s, %s used", console.Count(d.Cores, "core"), console.Count(d.Threads, "thread"))},
		{"oneDNN", dnn},
		{"ONNX Runtime", ort},
		{"cache folder", d.Cache},
	})
	for _, f := range []finding{d.OneDNN, d.ONNXRuntime} {
		if !f.Found {
			fmt.Fprintf(c.Stdout, "\n%s\ntype:  %s\n", f.Problem, f.Fix)
		}
	}
	return err
}
