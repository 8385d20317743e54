package models

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// openFile leaves out all that may be left out.
const openFile = `{
 "layers": [
  {"name": "conv1", "kind": "conv", "conv": {"out": 8, "kernel": [3, 3], "padding": "same_upper"}},
  {"name": "bn1", "kind": "batch_norm"},
  {"name": "relu1", "kind": "activation"},
  {"name": "pool1", "kind": "max_pool", "pool": {"kernel": [2, 2], "stride": [2, 2]}},
  {"name": "conv2", "kind": "conv", "conv": {"out": 8, "kernel": [1, 1]}},
  {"name": "sum", "kind": "add", "inputs": ["conv2", "pool1"]},
  {"name": "mean", "kind": "global_avg_pool"},
  {"name": "linear", "kind": "dense", "dense": {"bias": true}}
 ]
}`

// openNetwork builds the same with the builder.
func openNetwork(t *testing.T, name string, input Shape, classes int) *Network {
	t.Helper()
	b := NewBuilder(name, input, classes)
	x := b.Conv("conv1", b.Input(), Conv{Out: 8, Kernel: Square(3), Padding: SameUpper})
	x = b.ReLU("relu1", b.BatchNorm("bn1", x, BatchNorm{}))
	x = b.MaxPool("pool1", x, Pool{Kernel: Square(2), Stride: Square(2)})
	x = b.Add("sum", b.Conv("conv2", x, Conv{Out: 8, Kernel: Square(1)}), x)
	x = b.GlobalAvgPool("mean", x)
	n, err := b.Build(b.Dense("linear", x, Dense{Out: classes, Bias: true}), x)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFindReadsFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small net.json")
	if err := os.WriteFile(path, []byte(openFile), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := Find(path)
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "small net" || NameOf(path) != a.Name || a.Input != (Shape{}) || a.Classes != 0 {
		t.Errorf("found %+v", a)
	}
	for _, want := range []*Network{
		openNetwork(t, a.Name, Shape{3, 32, 32}, 10),
		openNetwork(t, a.Name, Shape{1, 9, 7}, 3),
	} {
		got, err := Build(path, want.Input, want.Classes)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	// Networks of one architecture share nothing.
	first, _ := a.Build(Shape{3, 8, 8}, 10)
	second, _ := a.Build(Shape{3, 8, 8}, 5)
	first.Layers[0].Conv.Out = 1
	if second.Layers[0].Conv.Out != 8 || first.Layers[7].Dense.Out != 10 || second.Layers[7].Dense.Out != 5 {
		t.Error("two networks of an architecture share a layer")
	}
	if a, err := Find("resnet32"); err != nil || a.Name != "resnet32" || NameOf("resnet32") != "resnet32" {
		t.Errorf("a name: %v, %v", a, err)
	}
}

// TestFilesOfWholeNetworks: what a run keeps of any network is an architecture
// file for the same data.
func TestFilesOfWholeNetworks(t *testing.T) {
	nets := []*Network{everyKind(t)}
	for _, a := range Catalog() {
		n, err := a.Build(a.Input, 10)
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, n)
	}
	for _, n := range nets {
		data, err := n.JSON()
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseArchitecture("unused", data)
		if err != nil {
			t.Fatal(err)
		}
		back, err := a.Build(n.Input, n.Classes)
		if err != nil || !reflect.DeepEqual(back, n) || a.Name != n.Name || a.Input != n.Input || a.Classes != n.Classes {
			t.Errorf("%s changed on its way through a file: %v", n.Name, err)
		}
		if _, err := a.Build(Shape{3, 40, 40}, n.Classes); err == nil || !strings.Contains(err.Error(), `leave out "input"`) {
			t.Errorf("%s for other inputs: %v", n.Name, err)
		}
		if _, err := a.Build(n.Input, 77); err == nil || !strings.Contains(err.Error(), `leave out "classes"`) {
			t.Errorf("%s for other classes: %v", n.Name, err)
		}
	}
}

func TestFileFaults(t *testing.T) {
	layer := func(l string) string { return `{"layers":[` + l + `,{"name":"fc","kind":"dense"}]}` }
	for name, tc := range map[string]struct{ json, want string }{
		"no JSON":            {`layers: []`, "invalid character"},
		"nothing":            {``, "it is empty"},
		"two values":         {openFile + "{}", "after the closing brace"},
		"no layers":          {`{"name":"x"}`, `network "x" has no layers`},
		"null":               {`null`, "has no layers"},
		"unknown key":        {`{"layer":[]}`, `unknown field "layer"`},
		"classes":            {`{"classes":1,"layers":[{"name":"fc","kind":"dense"}]}`, "classes is 1"},
		"half an input":      {`{"input":{"channels":3},"layers":[{"name":"p","kind":"global_avg_pool"},{"name":"fc","kind":"dense"}]}`, "input 3: channels, height and width"},
		"null layer":         {`{"layers":[null]}`, "layer 1"},
		"unknown attribute":  {layer(`{"name":"c","kind":"conv","conv":{"out":3,"kernal":[3,3]}}`), `layer 1, "c": json: unknown field "kernal"`},
		"wrong type":         {layer(`{"name":"c","kind":"conv","conv":{"out":"3"}}`), `layer 1, "c": conv.out is a string, at byte`},
		"one number":         {layer(`{"name":"c","kind":"conv","conv":{"out":3,"kernel":[3]}}`), `layer 1, "c": kernel [3] is not a pair`},
		"three numbers":      {layer(`{"name":"p","kind":"max_pool","pool":{"kernel":[3,3],"stride":[1,2,3]}}`), `layer 1, "p": stride [1 2 3] is not a pair`},
		"unknown kind":       {layer(`{"name":"c","kind":"swish"}`), `layer "c" (swish): unknown kind`},
		"unknown input":      {layer(`{"name":"c","kind":"flatten","inputs":["d"]}`), `layer "c" (flatten): input "d" is not an earlier layer`},
		"no inputs":          {layer(`{"name":"c","kind":"flatten","inputs":[]}`), `layer "c" (flatten): has 0 inputs`},
		"foreign attributes": {layer(`{"name":"c","kind":"flatten","pool":{"kernel":[2,2]}}`), `layer "c" (flatten): has attributes "pool"`},
		"no attributes":      {layer(`{"name":"c","kind":"conv"}`), `layer "c" (conv): attributes "conv" are missing`},
		"a list":             {`[1, 2]`, "the whole is an array, at byte 1; it must be an object"},
		"a number as kernel": {layer(`{"name":"c","kind":"conv","conv":{"kernel":3}}`), `layer 1, "c": conv.kernel is a number, at byte`},
		"a break":            {`{"layers": [{"name"`, "the JSON breaks off"},
		"negative width":     {`{"input":{"channels":1,"height":4,"width":4},"layers":[{"name":"c","kind":"conv","conv":{"out":-2,"kernel":[1,1]}},{"name":"f","kind":"flatten"},{"name":"fc","kind":"dense"}]}`, `layer "c" (conv): out is -2; it must be 1 to`},
		"two of a name":      {layer(`{"name":"fc","kind":"flatten"}`), `two layers are named "fc"`},
		"a key twice":        {`{"name":"a","layers":[{"name":"fc","kind":"dense"}],"Name":"b"}`, `the key "Name" is given twice, the second time at byte`},
		"a layer's key":      {layer(`{"name":"c","kind":"conv","conv":{"out":3,"kernel":[3,3],"out":4}}`), `the key "out" is given twice`},
		"shared":             {layer(`{"name":"c","kind":"dense","dense":{"out":3},"weights_of":"d"}`), `layer "c" (dense): weights_of "d" is not an earlier layer`},
		"unknown logits":     {`{"logits":"x","layers":[{"name":"fc","kind":"flatten"}]}`, `logits names the layer "x"`},
		"too wide at last": {`{"input":{"channels":1,"height":4,"width":4},"classes":10,
			"layers":[{"name":"f","kind":"flatten"},{"name":"fc","kind":"dense","dense":{"out":9}}]}`, `logits layer "fc" gives 9 values for 10 classes`},
		"open in the middle": {`{"input":{"channels":1,"height":4,"width":4},
			"layers":[{"name":"f","kind":"flatten"},{"name":"open","kind":"dense"},{"name":"fc","kind":"dense"}]}`, `layer "open" (dense): out is 0`},
		"does not fit": {`{"input":{"channels":1,"height":4,"width":4},
			"layers":[{"name":"c","kind":"conv","conv":{"out":2,"kernel":[9,9]}},{"name":"f","kind":"flatten"},{"name":"fc","kind":"dense"}]}`, `layer "c" (conv): window [9 9] does not fit`},
	} {
		a, err := ParseArchitecture("given", []byte(tc.json))
		if err == nil || !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %+v, %v, want %q", name, a, err, tc.want)
		}
	}
	for name, tc := range map[string]struct {
		size int
		want string
	}{"missing": {-1, "no such file"}, "huge": {maxFileBytes + 1, "larger than"}, "empty": {0, "it is empty"}} {
		path := filepath.Join(t.TempDir(), name+".JSON")
		if tc.size >= 0 {
			if err := os.WriteFile(path, make([]byte, tc.size), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Find(path); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s file: %v", name, err)
		}
	}
	// Faults that only the input shows are Build's, and name their layer too.
	a, err := ParseArchitecture("given", []byte(`{"layers":[{"name":"c","kind":"conv","conv":{"out":2,"kernel":[9,9]}},{"name":"f","kind":"flatten"},{"name":"fc","kind":"dense"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Build(Shape{3, 4, 4}, 10); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), `"given": layer "c" (conv): window`) {
		t.Errorf("too small an input: %v", err)
	}
	if _, err := a.Build(Shape{3, 9, 9}, 10); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "seven.json")
	if err := os.WriteFile(path, []byte(`{"layers":[{"name":"f","kind":"flatten"},{"name":"fc","kind":"dense","dense":{"out":7}}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(path, Shape{1, 4, 4}, 3); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file for other classes: %v", err)
	}
}

func FuzzParseArchitecture(f *testing.F) {
	f.Add([]byte(openFile))
	for _, n := range []*Network{everyKind(f)} {
		data, _ := n.JSON()
		f.Add(data)
	}
	f.Add([]byte(`{"input":{"channels":1,"height":4,"width":4},"classes":10,"layers":[{"name":"f","kind":"flatten"},{"name":"fc","kind":"dense"}]}`))
	f.Add([]byte(`{"layers":[{"kind":"dense"},{"name":"c","kind":"conv","conv":{"kernel":[1]}}],"logits":"c"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseArchitecture("fuzzed", data)
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Errorf("%v is not a fault of a file", err)
			}
			return
		}
		input, classes := a.Input, a.Classes
		if input == (Shape{}) {
			input = Shape{3, 8, 8}
		}
		if classes == 0 {
			classes = 10
		}
		n, err := a.Build(input, classes)
		if err != nil {
			if a.Input != (Shape{}) {
				t.Errorf("its own input and classes are refused: %v", err)
			}
			return
		}
		if n.Input != input || n.Classes != classes {
			t.Errorf("asked for %v and %d classes, got %v and %d", input, classes, n.Input, n.Classes)
		}
		whole, err := n.JSON()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(whole)
		if err != nil || !reflect.DeepEqual(back, n) {
			t.Errorf("%s does not come back: %v", whole, err)
		}
	})
}

// TestRepeatedKeys: of a key given twice the last would count.
func TestRepeatedKeys(t *testing.T) {
	data, err := everyKind(t).JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, twice := range []struct{ from, to string }{
		{`"classes": 5`, `"classes": 4, "classes": 5`},
		{`"height": 9`, `"height": 8, "HEIGHT": 9`},
		{`"momentum": 0.2`, `"momentum": 0.1, "momentum": 0.2`},
	} {
		text := strings.Replace(string(data), twice.from, twice.to, 1)
		if _, err := Parse([]byte(text)); text == string(data) || err == nil || !strings.Contains(err.Error(), "is given twice") {
			t.Errorf("%s: %v", twice.to, err)
		}
	}
}
