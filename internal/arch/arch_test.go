package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/deepmutual/dml"

// Modules that only some packages may know.
const (
	gorgonia = "gorgonia.org/gorgonia"
	tensor   = "gorgonia.org/tensor"
	hm       = "github.com/chewxy/hm"
	protobuf = "google.golang.org/protobuf"
	ortGo    = "github.com/yalue/onnxruntime_go"
	ximage   = "golang.org/x/image"
	yaml     = "github.com/goccy/go-yaml"
	urfave   = "github.com/urfave/cli/v2"
	mpb      = "github.com/vbauerster/mpb/v8"
)

// anything lets a package import every other: the command wires them all.
const anything = "*"

// allowed lists, for each package, the packages of this module (by their path
// below it) and the modules that its non-test files may import beside the
// standard library. A package that is missing here fails the test, so that a
// new one comes with a decision.
var allowed = map[string][]string{
	"":        {},
	"cmd/dml": {"internal/cli"},

	"models":     {},
	"checkpoint": {"internal/atomicfile"},

	"dataset":             {"internal/pixels"},
	"dataset/cifar":       {"dataset"},
	"dataset/mnist":       {"dataset"},
	"dataset/imagefolder": {"dataset", "internal/pixels"},
	"dataset/source":      {"dataset", "dataset/cifar", "dataset/imagefolder", "dataset/mnist"},
	"dataset/datatest":    {"dataset"},

	"train": {"models", "dataset", "dataset/source", "checkpoint", "train/optim", "internal/exec", "internal/gops", "internal/kernel",
		"internal/kernel/onednn", "internal/kernel/ref", "internal/lower", "internal/pixels", "internal/score", gorgonia},
	"train/optim":  {},
	"train/rundir": {"train", "checkpoint", "models", "internal/atomicfile", "internal/score", yaml},

	"export":        {"models", "internal/atomicfile", "internal/onnxmeta", "internal/onnxpb", protobuf},
	"export/verify": {"infer"},
	"infer":         {"internal/onnxmeta", "internal/ortlib", "internal/pixels", ortGo},

	"internal/arch":              {},
	"internal/atomicfile":        {},
	"internal/exec":              {"internal/gops", gorgonia},
	"internal/gops":              {"internal/kernel", gorgonia, tensor, hm},
	"internal/kernel":            {},
	"internal/kernel/kerneltest": {"internal/kernel", "internal/kernel/ref"},
	"internal/kernel/onednn":     {"internal/kernel"},
	"internal/kernel/ref":        {"internal/kernel"},
	"internal/lower":             {"models", "internal/exec", "internal/gops", "internal/kernel", gorgonia},
	"internal/onnxmeta":          {},
	"internal/onnxpb":            {protobuf},
	"internal/ortinstall":        {"internal/atomicfile", "internal/ortlib"},
	"internal/ortlib":            {},
	"internal/ortlib/ortlibtest": {},
	"internal/pixels":            {ximage},
	"internal/score":             {},

	"bench":                  {anything},
	"internal/bridge":        {"dataset", "export", "export/verify", "infer", "internal/score", "train"},
	"internal/cli":           {anything},
	"internal/demo":          {anything},
	"internal/demo/data":     {"dataset", "dataset/mnist"},
	"internal/demo/data/gen": {"dataset", "dataset/mnist"},
}

// cgoAllowed lists the packages that may hold C: those that load a native
// library.
var cgoAllowed = []string{"internal/kernel/onednn"}

// without lists, for packages that services import, what must not be compiled
// into them, however indirectly.
var without = map[string][]string{
	"infer":         {gorgonia, tensor, module + "/internal/kernel", module + "/train", "net/http"},
	"export":        {gorgonia, tensor, ortGo, module + "/internal/kernel"},
	"export/verify": {gorgonia, tensor},
	"dataset":       {gorgonia, tensor, ortGo, protobuf},
	"models":        {gorgonia, tensor, ortGo, protobuf},
	"train":         {ortGo, module + "/internal/onnxpb", urfave, mpb},
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	CgoFiles   []string
}

// list runs go list on patterns. Generated test packages are not listed, so
// only what is compiled into programs counts.
func list(t *testing.T, patterns ...string) []listed {
	t.Helper()
	openSources(t)
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps,CgoFiles"}, patterns...)...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// openSources opens every source file of the module, so that go test, which
// notes the files that a test opens, does not take a result from its cache
// after one has changed.
func openSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// relative returns a package's path below the module.
func relative(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// permits reports whether one of the allowed entries covers an import.
func permits(entries []string, importPath string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		if entry == anything {
			return true
		}
		if ours(importPath) {
			return entry == relative(importPath)
		}
		return importPath == entry || strings.HasPrefix(importPath, entry+"/")
	})
}

func TestImportArrows(t *testing.T) {
	standard := make(map[string]bool)
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	packages := list(t, "./...")
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	for _, p := range packages {
		path := relative(p.ImportPath)
		entries, known := allowed[path]
		if !known {
			t.Errorf("package %s is not in the table: decide what it may import, here and in ARCHITECTURE.md", path)
			continue
		}
		if len(p.CgoFiles) > 0 && !slices.Contains(cgoAllowed, path) {
			t.Errorf("package %s holds cgo files %v", path, p.CgoFiles)
		}
		for _, imported := range p.Imports {
			if imported == "C" || standard[imported] {
				continue
			}
			if !permits(entries, imported) {
				t.Errorf("package %s imports %s; it may import %v and the standard library", path, imported, entries)
			}
		}
	}
}

// TestTableIsCurrent finds rules for packages that are gone, and permissions
// that nobody uses any more.
func TestTableIsCurrent(t *testing.T) {
	imports := make(map[string][]string)
	for _, p := range list(t, "./...") {
		imports[relative(p.ImportPath)] = append(p.Imports, "") // not nil
	}
	for path, entries := range allowed {
		if imports[path] == nil {
			t.Errorf("the table has a rule for %q, which does not exist", path)
			continue
		}
		for _, entry := range entries {
			used := slices.ContainsFunc(imports[path], func(imported string) bool { return permits([]string{entry}, imported) })
			if !used {
				t.Errorf("package %s does not import %s, which the table permits", path, entry)
			}
		}
	}
}

// TestNotCompiledIn checks what lands in a program that imports one package.
func TestNotCompiledIn(t *testing.T) {
	for path, forbidden := range without {
		for _, p := range list(t, "./"+path) {
			if len(p.Deps) == 0 {
				t.Errorf("%s: go list gave no dependencies", path)
			}
			for _, bad := range forbidden {
				i := slices.IndexFunc(p.Deps, func(dep string) bool { return dep == bad || strings.HasPrefix(dep, bad+"/") })
				if i >= 0 {
					t.Errorf("%s compiles in %s", path, p.Deps[i])
				}
			}
		}
	}
}

// TestRulesCanFail proves that the check sees a forbidden import.
func TestRulesCanFail(t *testing.T) {
	for _, tc := range []struct {
		from, to string
		want     bool
	}{
		{"models", gorgonia, false},
		{"infer", module + "/train", false},
		{"infer", ortGo, true},
		{"export", module + "/internal/onnxpb", true},
		{"export", module + "/internal/onnxpb/other", false},
		{"train", gorgonia + "/ops", true},
		{"train", gorgonia + "x", false},
		{"internal/cli", ortGo, true},
	} {
		if got := permits(allowed[tc.from], tc.to); got != tc.want {
			t.Errorf("%s -> %s: permitted %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}
