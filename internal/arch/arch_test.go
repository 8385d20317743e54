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
	flock    = "github.com/gofrs/flock"
	float16  = "github.com/x448/float16"
)

// anything lets a package import every other: the command wires them all.
const anything = "*"

// words are the entries of ARCHITECTURE.md's table that are not a package of this
// module.
var words = map[string]string{
	"Gorgonia": gorgonia, "tensor": tensor, "hm": hm, "protobuf": protobuf, "onnxruntime_go": ortGo,
	"go-yaml": yaml, "safetensors": tensors, "gonum": gonum, "onnx-go": onnxGo, "x/image": xImage,
	"flock": flock, "float16": float16, "everything": anything,
}

// room is a row of that table: folders of this module, each with all packages
// below it that no other row has, and what their non-test files may import
// beside the standard library and each other: rooms and other modules.
type room struct {
	folders, imports []string
}

// permits reports whether a package of the room may import another package.
func (r room) permits(rooms []room, importPath string) bool {
	if slices.Contains(r.imports, anything) {
		return true
	}
	if !ours(importPath) {
		return slices.ContainsFunc(r.imports, func(module string) bool {
			return importPath == module || strings.HasPrefix(importPath, module+"/")
		})
	}
	folder, known := folderOf(rooms, relative(importPath))
	return known && (slices.Contains(r.folders, folder) || slices.Contains(r.imports, folder))
}

// table reads the table of ARCHITECTURE.md.
func table(t *testing.T) []room {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rooms []room
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !strings.HasPrefix(line, "| `") {
			continue
		}
		var r room
		for _, name := range names(t, cells[0]) {
			r.folders = append(r.folders, strings.TrimPrefix(name, "."))
		}
		if strings.TrimSpace(cells[2]) != "-" {
			r.imports = names(t, cells[2])
		}
		rooms = append(rooms, r)
	}
	if len(rooms) < 10 {
		t.Fatalf("ARCHITECTURE.md has a table of %d rows", len(rooms))
	}
	return rooms
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
			t.Fatalf("%q in ARCHITECTURE.md's table is not a known module", word)
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

// folderOf returns the folder of the table that a package lies in: the longest
// that holds it. The module's own package is the folder "".
func folderOf(rooms []room, path string) (string, bool) {
	longest, known := "", path == ""
	for _, r := range rooms {
		for _, folder := range r.folders {
			if (path == folder || folder != "" && strings.HasPrefix(path, folder+"/")) && len(folder) >= len(longest) {
				longest, known = folder, true
			}
		}
	}
	return longest, known
}

// roomOf returns the one room that a package is in.
func roomOf(t *testing.T, rooms []room, path string) (room, bool) {
	t.Helper()
	folder, known := folderOf(rooms, path)
	if !known {
		return room{}, false
	}
	var found []room
	for _, r := range rooms {
		if slices.Contains(r.folders, folder) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Errorf("folder %q is in %d rows of ARCHITECTURE.md's table", folder, len(found))
	}
	return found[0], true
}

// cgoAllowed lists the packages that may hold C: those that load a native
// library, and the bench's measure of the processor.
var cgoAllowed = []string{"internal/engine/kernel/onednn", "bench/machine"}

// without lists, for packages that services import, what must not be compiled
// into them, however indirectly.
var without = map[string][]string{
	"infer":            {gorgonia, tensor, module + "/internal/engine", module + "/train", "net/http"},
	"infer/infertest":  {gorgonia, tensor, protobuf, module + "/train"},
	"examples/service": {gorgonia, tensor, module + "/train"},
	"export":           {gorgonia, tensor, ortGo, module + "/internal/engine"},
	"export/verify":    {gorgonia, tensor},
	"dataset":          {gorgonia, tensor, ortGo, protobuf},
	"models":           {gorgonia, tensor, ortGo, protobuf},
	"dataset/walkers":  {gorgonia, tensor, ortGo, protobuf, module + "/train"},
	"reid":             {gorgonia, tensor, ortGo, protobuf, module + "/dataset", module + "/infer", module + "/internal/engine", "net/http"},
	"reid/features":    {gorgonia, tensor, ortGo, protobuf, module + "/infer", module + "/internal/engine", module + "/train", "net/http"},
	"reid/embedder":    {gorgonia, tensor, module + "/internal/engine", module + "/train", "net/http"},
	"train":            {ortGo, module + "/internal/onnx/onnxpb", urfave, mpb},
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

func TestImportArrows(t *testing.T) {
	standard := make(map[string]bool)
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	rooms, packages := table(t), list(t, "./...")
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	for _, p := range packages {
		path := relative(p.ImportPath)
		r, known := roomOf(t, rooms, path)
		if !known {
			t.Errorf("package %s is in no room of ARCHITECTURE.md's table: decide there what it may import", path)
			continue
		}
		if len(p.CgoFiles) > 0 && !slices.Contains(cgoAllowed, path) {
			t.Errorf("package %s holds cgo files %v", path, p.CgoFiles)
		}
		for _, imported := range p.Imports {
			if imported != "C" && !standard[imported] && !r.permits(rooms, imported) {
				t.Errorf("package %s imports %s; its room may import %v and the standard library", path, imported, r.imports)
			}
		}
	}
}

// TestTableIsCurrent finds rooms of packages that are gone, and permissions
// that nobody uses any more.
func TestTableIsCurrent(t *testing.T) {
	rooms := table(t)
	imports := make(map[string][]string) // by folder of the table
	for _, p := range list(t, "./...") {
		if folder, known := folderOf(rooms, relative(p.ImportPath)); known {
			imports[folder] = append(imports[folder], append(p.Imports, "")...) // not nil
		}
	}
	for _, r := range rooms {
		var all []string
		for _, folder := range r.folders {
			if imports[folder] == nil {
				t.Errorf("ARCHITECTURE.md's table has %q, where there is no package", folder)
			}
			all = append(all, imports[folder]...)
		}
		for _, entry := range r.imports {
			one := room{imports: []string{entry}}
			if !slices.ContainsFunc(all, func(imported string) bool { return imported != "" && one.permits(rooms, imported) }) {
				t.Errorf("none of %q imports %s, which the table permits", r.folders, entry)
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
	rooms := table(t)
	for _, tc := range []struct {
		from, to string
		want     bool
	}{
		{"models", gorgonia, false},
		{"infer", module + "/train", false},
		{"infer", ortGo, true},
		{"infer", module + "/infer/gorgonia", false},
		{"export", module + "/internal/onnx/onnxpb", true},
		{"internal/onnx/onnxpb", module + "/infer", false},
		{"internal/engine/exec", module + "/models", true},
		{"internal/engine/kernel/ref", module + "/models", false},
		{"train", gorgonia + "/ops", true},
		{"train", gorgonia + "x", false},
		{"cmd/dml/internal/app", ortGo, true},
	} {
		r, known := roomOf(t, rooms, tc.from)
		if got := r.permits(rooms, tc.to); !known || got != tc.want {
			t.Errorf("%s -> %s: permitted %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}
