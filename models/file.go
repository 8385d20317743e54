package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

const (
	fileSuffix   = ".json"
	maxFileBytes = 8 << 20
)

// ErrFile is wrapped by every fault of an architecture's JSON.
var ErrFile = errors.New("architecture file")

// Find is Lookup for names, and reads an architecture of your own where arch is
// the path of a file that ends in .json.
func Find(arch string) (Architecture, error) {
	if !IsFile(arch) {
		return Lookup(arch)
	}
	f, err := os.Open(arch)
	if err != nil {
		return Architecture{}, fmt.Errorf("%w: %w", ErrFile, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return Architecture{}, fmt.Errorf("%w %s: %w", ErrFile, arch, err)
	}
	if len(data) > maxFileBytes {
		return Architecture{}, fmt.Errorf("%w %s: larger than %d bytes", ErrFile, arch, maxFileBytes)
	}
	a, err := ParseArchitecture(NameOf(arch), data)
	if err != nil {
		return Architecture{}, fmt.Errorf("%s: %w", arch, err)
	}
	parsed := a.build
	a.build = func(input Shape, classes int) (*Network, error) {
		n, err := parsed(input, classes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arch, err)
		}
		return n, nil
	}
	return a, nil
}

// NameOf returns the short name of what Find takes: a name as it is, and of a
// path the file's name without .json.
func NameOf(arch string) string {
	if !IsFile(arch) {
		return arch
	}
	base := filepath.Base(arch)
	return base[:len(base)-len(fileSuffix)]
}

// IsFile reports whether Find takes arch for the path of a file.
func IsFile(arch string) bool { return strings.HasSuffix(strings.ToLower(arch), fileSuffix) }

// ParseArchitecture reads an architecture from the JSON of a Network, such as
// a run keeps, in which much may be left out:
//
//   - name: then it is the one given here;
//   - input and classes: then the data decide; where they are there, other data
//     are refused;
//   - a layer's inputs: then it reads the layer before it, the first one the
//     network's input;
//   - the attributes of a batch norm, activation or sigmoid, and any with a
//     default;
//   - out of the dense layer that gives the logits: then it is the number of
//     classes;
//   - logits: then it is the last layer; embedding: then it is the layer that
//     the logits read.
//
// All faults are reported that can be told without knowing the input, each
// naming its layer; Build reports the others. Errors wrap ErrFile.
func ParseArchitecture(name string, data []byte) (Architecture, error) {
	f, err := decodeFile(name, data)
	if err != nil {
		return Architecture{}, fmt.Errorf("%w: %w", ErrFile, err)
	}
	a := Architecture{Name: f.Name, Summary: "from a file", Input: f.Input, Classes: f.Classes,
		build: func(input Shape, classes int) (*Network, error) {
			f, err := decodeFile(name, data) // each network has layers of its own
			if err == nil {
				var n *Network
				if n, err = f.build(input, classes); err == nil {
					return n, nil
				}
			}
			return nil, fmt.Errorf("%w: %w", ErrFile, err)
		}}
	if a.Input != (Shape{}) {
		classes := a.Classes
		if classes == 0 {
			classes = 2 // any number shows the same faults
		}
		if _, err := a.build(a.Input, classes); err != nil {
			return Architecture{}, err
		}
	}
	return a, nil
}

// file is a Network in which input, classes and the width of the logits may
// be open.
type file struct {
	Network
	openLogits *Dense // whose width is the number of classes; nil if it is fixed
}

// build closes what is open.
func (f *file) build(input Shape, classes int) (*Network, error) {
	n := f.Network
	if n.Input != (Shape{}) && n.Input != input {
		return nil, fmt.Errorf(`network %q is for inputs %v, not %v; leave out "input" for any`, n.Name, n.Input, input)
	}
	if n.Classes != 0 && n.Classes != classes {
		return nil, fmt.Errorf(`network %q is for %d classes, not %d; leave out "classes", and "out" of the logits, for any`, n.Name, n.Classes, classes)
	}
	n.Input, n.Classes = input, classes
	if f.openLogits != nil {
		f.openLogits.Out = classes
	}
	if err := n.Validate(); err != nil {
		return nil, err
	}
	return &n, nil
}

// decodeFile reads the JSON, fills in what may be left out of layers, and checks
// what needs no shapes.
func decodeFile(name string, data []byte) (*file, error) {
	var top struct {
		Name      string            `json:"name"`
		Input     Shape             `json:"input"`
		Classes   int               `json:"classes"`
		Layers    []json.RawMessage `json:"layers"`
		Logits    string            `json:"logits"`
		Embedding string            `json:"embedding"`
	}
	if err := strictJSON(data, &top); err != nil {
		return nil, err
	}
	f := &file{Network: Network{Name: top.Name, Input: top.Input, Classes: top.Classes, Logits: top.Logits, Embedding: top.Embedding}}
	if f.Name == "" {
		f.Name = name
	}
	if len(top.Layers) == 0 {
		return nil, fmt.Errorf("network %q has no layers", f.Name)
	}
	var faults []error
	previous := InputName
	for i, raw := range top.Layers {
		l, err := decodeLayer(raw, previous)
		if err != nil {
			faults = append(faults, fmt.Errorf("network %q: layer %d, %q: %w", f.Name, i+1, l.Name, err))
		}
		f.Layers = append(f.Layers, l)
		previous = l.Name
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if f.Logits == "" {
		f.Logits = previous
	}
	if l, ok := f.Layer(f.Logits); ok {
		if f.Embedding == "" && len(l.Inputs) > 0 {
			f.Embedding = l.Inputs[0]
		}
		if l.Kind == KindDense && l.Dense != nil && l.Dense.Out == 0 {
			f.openLogits = l.Dense
		}
	}
	f.setDefaults()
	if f.Classes != 0 && (f.Classes < 2 || f.Classes > maxClasses) {
		faults = append(faults, fmt.Errorf("network %q: classes is %d; it must be at least 2 and at most %d", f.Name, f.Classes, maxClasses))
	}
	f.walk(func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("network %q: %w", f.Name, fmt.Errorf(format, args...)))
	}, nil)
	return f, errors.Join(faults...)
}

// decodeLayer reads one layer, which reads the previous one unless it says
// otherwise. The layer's name is returned with an error too, where it has one.
func decodeLayer(raw json.RawMessage, previous string) (Layer, error) {
	var l Layer
	if err := strictJSON(raw, &l); err != nil {
		return l, err
	}
	if err := checkPairs(raw); err != nil {
		return l, err
	}
	if l.Inputs == nil {
		l.Inputs = []string{previous}
	}
	switch {
	case l.Kind == KindBatchNorm && l.BatchNorm == nil:
		l.BatchNorm = new(BatchNorm)
	case l.Kind == KindActivation && l.Activation == nil:
		l.Activation = new(Activation)
	case l.Kind == KindSigmoid && l.Sigmoid == nil:
		l.Sigmoid = new(Sigmoid)
	case l.Kind == KindDense && l.Dense == nil:
		l.Dense = new(Dense)
	}
	return l, nil
}

// checkPairs refuses a kernel, stride or dilation that is not a pair: decoding
// into an array drops what is too much and fills up what is missing.
func checkPairs(raw json.RawMessage) error {
	type window struct{ Kernel, Stride, Dilation *[]int }
	var l struct{ Conv, Pool window }
	if err := json.Unmarshal(raw, &l); err != nil {
		return inWords(err)
	}
	for _, w := range []window{l.Conv, l.Pool} {
		for i, pair := range []*[]int{w.Kernel, w.Stride, w.Dilation} {
			if pair != nil && len(*pair) != 2 {
				return fmt.Errorf("%s %v is not a pair [height, width]", [...]string{"kernel", "stride", "dilation"}[i], *pair)
			}
		}
	}
	return nil
}

// strictJSON decodes one value and refuses unknown fields, a key given twice in
// one object and anything after the value.
func strictJSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return inWords(err)
	}
	if err := checkKeys(json.NewDecoder(bytes.NewReader(data))); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("data after the closing brace at byte %d", dec.InputOffset())
	}
	return nil
}

// checkKeys refuses an object that has a key twice, of which decoding would take
// the last. Keys are compared as decoding compares them, regardless of case.
func checkKeys(dec *json.Decoder) error {
	type level struct {
		keys  map[string]bool // nil for a list
		value bool            // a key has been read and its value has not
	}
	var open []level
	for {
		token, err := dec.Token()
		if err != nil {
			return inWords(err)
		}
		at := len(open) - 1
		delim, _ := token.(json.Delim)
		switch {
		case delim == '}' || delim == ']':
			open = open[:at]
		case at >= 0 && open[at].keys != nil && !open[at].value:
			key := token.(string)
			folded := strings.ToLower(strings.ToUpper(key)) // U+017F is an s
			if open[at].keys[folded] {
				return fmt.Errorf("the key %.40q is given twice, the second time at byte %d", key, dec.InputOffset())
			}
			open[at].keys[folded], open[at].value = true, true
		default:
			if at >= 0 {
				open[at].value = false
			}
			switch delim {
			case '{':
				open = append(open, level{keys: make(map[string]bool)})
			case '[':
				open = append(open, level{})
			}
		}
		if len(open) == 0 {
			return nil
		}
	}
}

// inWords says what is wrong with JSON without the names of Go's types, which
// encoding/json puts into its errors.
func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON breaks off")
	case !errors.As(err, &wrong):
		return err
	}
	field := wrong.Field
	if field == "" {
		field = "the whole"
	}
	var want string
	switch wrong.Type.Kind() {
	case reflect.Struct, reflect.Pointer:
		want = "an object"
	case reflect.Slice, reflect.Array:
		want = "a list"
	case reflect.Bool:
		want = "true or false"
	case reflect.Int:
		want = "a whole number"
	case reflect.Float32:
		want = "a number"
	default:
		want = "a text"
	}
	return fmt.Errorf("%s is %s %s, at byte %d; it must be %s", field, article(wrong.Value), wrong.Value, wrong.Offset, want)
}

// article returns the indefinite article of a word.
func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an"
	}
	return "a"
}
