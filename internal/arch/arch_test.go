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
	yaml     = "github.com/goccy/go-yaml"
	urfave   = "github.com/urfave/cli/v2"
	mpb      = "github.com/vbauerster/mpb/v8"
	tensors  = "github.com/nlpodyssey/safetensors"
	gonum    = "gonum.org/v1/gonum"
	onnxGo   = "github.com/owulveryck/onnx-go"
	xImage   = "golang.org/x/image"
	plot     = "gonum.org/v1/plot"
)

// anything lets a package import every other: the command wires them all.
const anything = "*"

// words are the entries of ARCHITECTURE.md's table that are no package of this
// module.
var words = map[string]string{
	"Gorgonia": gorgonia, "tensor": tensor, "hm": hm, "protobuf": protobuf, "onnxruntime_go": ortGo,
	"go-yaml": yaml, "safetensors": tensors, "gonum": gonum, "onnx-go": onnxGo, "x/image": xImage, "plot": plot, "everything": anything,
}

// row is one of that table: packages of this module, by their path below it,
// and what their non-test files may import beside the standard library and
// each other.
type row struct {
	packages, imports []string
}

func (r row) permits(importPath string) bool {
	return permits(r.packages, importPath) || permits(r.imports, importPath)
}

// table reads the table of ARCHITECTURE.md.
func table(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !strings.HasPrefix(line, "| `") {
			continue
		}
		var r row
		for _, name := range names(t, cells[0]) {
			r.packages = append(r.packages, strings.TrimPrefix(name, "."))
		}
		if strings.TrimSpace(cells[2]) != "-" {
			r.imports = names(t, cells[2])
		}
		rows = append(rows, r)
	}
	if len(rows) < 10 {
		t.Fatalf("ARCHITECTURE.md has a table of %d rows", len(rows))
	}
	return rows
}

// names reads a cell, such as "`a`, `b/{c,d}`, word".
func names(t *testing.T, cell string) []string {
	t.Helper()
	var out []string
	for rest := strings.TrimSpace(cell); rest != ""; rest = strings.TrimLeft(rest, ", ") {
		if quoted, isPackage := strings.CutPrefix(rest, "`"); isPackage {
			name, after, closed := strings.Cut(quoted, "`")
			if !closed {
				t.Fatalf("an open quotation in %q", cell)
			}
			out, rest = append(out, braces(name)...), after
			continue
		}
		word, after, _ := strings.Cut(rest, ",")
		module, known := words[strings.TrimSpace(word)]
		if !known {
			t.Fatalf("%q in ARCHITECTURE.md's table is no known module", word)
		}
		out, rest = append(out, module), after
	}
	return out
}

// braces expands a/{b,c} to a/b and a/c.
func braces(name string) []string {
	head, list, found := strings.Cut(name, "{")
	if !found {
		return []string{name}
	}
	var out []string
	for part := range strings.SplitSeq(strings.TrimSuffix(list, "}"), ",") {
		out = append(out, head+part)
	}
	return out
}

// rowOf returns the one row that a package is in.
func rowOf(t *testing.T, rows []row, path string) (row, bool) {
	t.Helper()
	var found []row
	for _, r := range rows {
		if slices.Contains(r.packages, path) {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return row{}, false
	}
	if len(found) > 1 {
		t.Errorf("package %q is in %d rows of ARCHITECTURE.md's table", path, len(found))
	}
	return found[0], true
}

// cgoAllowed lists the packages that may hold C: those that load a native
// library, and the bench's measure of the processor.
var cgoAllowed = []string{"internal/kernel/onednn", "bench/machine"}

// without lists, for packages that services import, what must not be compiled
// into them, however indirectly.
var without = map[string][]string{
	"infer":            {gorgonia, tensor, module + "/internal/kernel", module + "/train", "net/http"},
	"infer/infertest":  {gorgonia, tensor, protobuf, module + "/train"},
	"examples/service": {gorgonia, tensor, module + "/train"},
	"export":           {gorgonia, tensor, ortGo, module + "/internal/kernel"},
	"export/verify":    {gorgonia, tensor},
	"dataset":          {gorgonia, tensor, ortGo, protobuf},
	"models":           {gorgonia, tensor, ortGo, protobuf},
	"dataset/walkers":  {gorgonia, tensor, ortGo, protobuf, module + "/train"},
	"reid":             {gorgonia, tensor, ortGo, protobuf, module + "/dataset", module + "/infer", module + "/internal/kernel", "net/http"},
	"reid/features":    {gorgonia, tensor, ortGo, protobuf, module + "/dataset", module + "/infer", "net/http"},
	"reid/embedder":    {gorgonia, tensor, module + "/internal/kernel", module + "/train", "net/http"},
	"reid/calibration": {gorgonia, tensor, ortGo, protobuf, plot, module + "/dataset", module + "/infer", "net/http"},
	"reid/ranking":     {gorgonia, tensor, ortGo, protobuf, module + "/dataset", module + "/infer", "net/http"},
	"train":            {ortGo, module + "/internal/onnxpb", urfave, mpb},
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
	rows, packages := table(t), list(t, "./...")
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	for _, p := range packages {
		path := relative(p.ImportPath)
		r, known := rowOf(t, rows, path)
		if !known {
			t.Errorf("package %s is not in ARCHITECTURE.md's table: decide there what it may import", path)
			continue
		}
		if len(p.CgoFiles) > 0 && !slices.Contains(cgoAllowed, path) {
			t.Errorf("package %s holds cgo files %v", path, p.CgoFiles)
		}
		for _, imported := range p.Imports {
			if imported != "C" && !standard[imported] && !r.permits(imported) {
				t.Errorf("package %s imports %s; it may import %v and the standard library", path, imported, r.imports)
			}
		}
	}
}

// TestTableIsCurrent finds rows of packages that are gone, and permissions
// that nobody uses any more.
func TestTableIsCurrent(t *testing.T) {
	imports := make(map[string][]string)
	for _, p := range list(t, "./...") {
		imports[relative(p.ImportPath)] = append(p.Imports, "") // not nil
	}
	for _, r := range table(t) {
		var all []string
		for _, path := range r.packages {
			if imports[path] == nil {
				t.Errorf("ARCHITECTURE.md's table has %q, which does not exist", path)
			}
			all = append(all, imports[path]...)
		}
		for _, entry := range r.imports {
			if !slices.ContainsFunc(all, func(imported string) bool { return permits([]string{entry}, imported) }) {
				t.Errorf("none of %q imports %s, which the table permits", r.packages, entry)
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
	rows := table(t)
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
		r, known := rowOf(t, rows, tc.from)
		if got := r.permits(tc.to); !known || got != tc.want {
			t.Errorf("%s -> %s: permitted %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}
