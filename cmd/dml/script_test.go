package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/reid/features"
)

// TestScripts runs testdata/script: sessions at a command line. Beside what
// package testscript documents, scripts know these commands.
func TestScripts(t *testing.T) {
	runtime, err := ortlib.Find("")
	if err != nil {
		t.Logf("scripts that need ONNX Runtime are skipped: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"HOME", "XDG_CACHE_HOME"} { // where libraries may be
				env.Setenv(name, os.Getenv(name))
			}
			env.Setenv("ORT", runtime.Path)
			env.Setenv("DML", scratch) // the folder of the program
			env.Setenv("PATH", scratch+string(os.PathListSeparator)+os.Getenv("PATH"))
			return write(filepath.Join(env.WorkDir, "small.yaml"), []byte(smallYAML))
		},
		Condition: func(name string) (bool, error) {
			if name == "ort" {
				return runtime.Path != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"dml": scriptDML, "misused": scriptMisused, "exits": scriptExits, "prepared": scriptPrepared,
			"write": scriptWrite, "edit": scriptEdit, "truncate": scriptTruncate, "json": scriptJSON, "near": scriptNear, "lines": scriptLines, "unit": scriptUnit, "spoil": scriptSpoil, "shows": scriptShows, "found": scriptFound,
		},
	})
}

// smallYAML, as small.yaml in each script's folder, trains two students in a
// second; --data is missing.
const smallYAML = `name: trial
students:
- arch: convnet
- {arch: convnet, name: second}
epochs: 3
batch: 16
optimizer: {learning_rate: 0.05}
backend: ref
`

// run executes dml and returns what it did.
func run(ts *testscript.TestScript, args []string) result {
	err := ts.Exec("dml", args...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	return result{code, ts.ReadFile("stdout"), ts.ReadFile("stderr")}
}

// dml ARGS... must succeed. "! dml" must be refused: exit code 1, one message,
// nothing on standard output.
func scriptDML(ts *testscript.TestScript, neg bool, args []string) {
	r := run(ts, args)
	if !neg && r.code != 0 {
		ts.Fatalf("exit code %d", r.code)
	}
	if neg {
		check(ts, r.faults(1))
	}
}

// misused dml ARGS... is dml with a command line that is wrong: exit code 2, one
// message, where the right ones are described, nothing on standard output.
func scriptMisused(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	check(ts, run(ts, args[1:]).faults(2))
}

// exits CODE dml ARGS... is dml with that exit code, whatever it prints.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	if r := run(ts, args[2:]); strconv.Itoa(r.code) != args[0] {
		ts.Fatalf("exit code %d", r.code)
	}
}

func check(ts *testscript.TestScript, faults []string) {
	if len(faults) > 0 {
		ts.Fatalf("%s", strings.Join(faults, "\n"))
	}
}

func affirm(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this command cannot be negated")
	}
}

// sets are folders that several scripts start from, made once.
var sets = map[string]func() (string, error){
	// digits; runs/trial: two students, after one epoch, exported
	"trial": prepare("trial", func(dir string) error { return writeDigits(filepath.Join(dir, "digits"), 60, 12) },
		"train --config small.yaml --data digits --epochs 1 --quiet", "export runs/trial"),
	// digits; runs/trial: two students, trained to the end
	"whole": prepare("whole", func(dir string) error { return writeDigits(filepath.Join(dir, "digits"), 60, 12) },
		"train --config small.yaml --data digits --quiet"),
	// people; runs/trial: two students of theirs, exported
	"people": prepare("people", func(dir string) error { return writePeople(filepath.Join(dir, "people")) },
		"train --config small.yaml --data people --size 16x8 --epochs 2 --quiet", "export runs/trial"),
	// walkers: synthetic pedestrians
	"walkers": prepare("walkers", func(string) error { return nil },
		"reid synth walkers --train 2 --test 5 --cameras 3 --images 2 --distractors 0.5 --junk 0.25 --seed 3"),
}

func prepare(name string, data func(dir string) error, commands ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir := filepath.Join(scratch, name)
		if err := errors.Join(write(filepath.Join(dir, "small.yaml"), []byte(smallYAML)), data(dir)); err != nil {
			return "", err
		}
		for _, command := range commands {
			if err := runIn(dir, strings.Fields(command)...); err != nil {
				return "", err
			}
		}
		return dir, os.Remove(filepath.Join(dir, "small.yaml"))
	})
}

// prepared SET... copies a set to the script's folder.
func scriptPrepared(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	for _, name := range args {
		make, known := sets[name]
		if !known {
			ts.Fatalf("no set %q", name)
		}
		dir, err := make()
		ts.Check(err)
		ts.Check(os.CopyFS(ts.MkAbs("."), os.DirFS(dir)))
	}
}

// write KIND PATH ... writes data that no text can hold:
//
//	digits DIR TRAIN TEST       MNIST files of three classes, with so many images
//	picture FILE CLASS          an image of class 0, 1 or 2
//	folder DIR N CLASS...       N pictures of each class
//	same DIR N                  N equal pictures in each of two classes
//	broken FILE                 a JPEG image that ends too soon
//	people DIR                  people in Market-1501's layout
//	vectors DIR                 features of 12 people, bare
//	features DIR DIGIT          a folder of features, by a model of checksum DIGIT...
//	models DIR                  untrained networks, one of them without metadata
//	idx FILE SHAPE [VALUE...]   an IDX file of zeros, that begins with these
//	npy FILE ROWSxDIM VALUE...  a matrix
//	zeros FILE N                so many bytes 0
//	byte FILE OFFSET VALUE      a byte of a file, from its end if negative
func scriptWrite(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	kind, path, rest := args[0], ts.MkAbs(args[1]), args[2:]
	number := func(i int) int {
		n, err := strconv.Atoi(rest[i])
		ts.Check(err)
		return n
	}
	shape := func(text string) (dims []int, size int) {
		size = 1
		for part := range strings.SplitSeq(text, "x") {
			n, err := strconv.Atoi(part)
			ts.Check(err)
			dims, size = append(dims, n), size*n
		}
		return dims, size
	}
	switch kind {
	case "digits":
		ts.Check(writeDigits(path, number(0), number(1)))
	case "picture":
		ts.Check(writePicture(path, number(0)))
	case "folder":
		ts.Check(writeFolder(path, number(0), rest[1:]...))
	case "same":
		for i := range 2 * number(0) {
			ts.Check(writePicture(filepath.Join(path, string(rune('a'+i%2)), strconv.Itoa(i)+".png"), 0))
		}
	case "broken":
		ts.Check(write(path, []byte("\xff\xd8\xff\xe0\x00\x10JFIF, and then nothing")))
	case "people":
		ts.Check(writePeople(path))
	case "vectors":
		ts.Check(writeVectors(path))
	case "features":
		ts.Check(writeFeatures(path, rest[0]))
	case "models":
		ts.Check(writeThirdParty(path))
	case "idx":
		dims, size := shape(rest[0])
		data := make([]byte, size)
		for i := range rest[1:] {
			data[i] = byte(number(i + 1))
		}
		ts.Check(writeIDX(path, dims, data))
	case "npy":
		dims, size := shape(rest[0])
		m := features.Matrix{Rows: dims[0], Dim: dims[1], Data: make([]float32, size)}
		for i, text := range rest[1:] {
			v, err := strconv.ParseFloat(text, 32)
			ts.Check(err)
			m.Data[i] = float32(v)
		}
		ts.Check(features.WriteNPY(path, m))
	case "zeros":
		ts.Check(write(path, make([]byte, number(0))))
	case "byte":
		data := []byte(ts.ReadFile(path))
		at := number(0)
		if at < 0 {
			at += len(data)
		}
		data[at] = byte(number(1))
		ts.Check(write(path, data))
	default:
		ts.Fatalf("nothing known of kind %q", kind)
	}
}

// edit FILE OLD NEW replaces a text that must be there once; \n is a new line.
func scriptEdit(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	text, old := ts.ReadFile(args[0]), strings.ReplaceAll(args[1], `\n`, "\n")
	if n := strings.Count(text, old); n != 1 {
		ts.Fatalf("%q is %d times in %s", old, n, args[0])
	}
	ts.Check(write(ts.MkAbs(args[0]), []byte(strings.Replace(text, old, strings.ReplaceAll(args[2], `\n`, "\n"), 1))))
}

// truncate FILE SIZE cuts a file off.
func scriptTruncate(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// lines N FILE counts the lines of a file, or of stdout or stderr.
func scriptLines(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	if n := strings.Count(ts.ReadFile(args[1]), "\n"); strconv.Itoa(n) != args[0] {
		ts.Fatalf("%s has %d lines", args[1], n)
	}
}

// spoil DIR makes every file of a folder one that cannot be read as an image.
func scriptSpoil(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	files, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, file := range files {
		ts.Check(write(filepath.Join(ts.MkAbs(args[0]), file.Name()), []byte("no image")))
	}
}

// found NAMES... compares the names that a search of a gallery has found, for
// each query, with those.
func scriptFound(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	var doc struct {
		Queries []struct{ Hits []struct{ Name string } }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	var got []string
	for _, q := range doc.Queries {
		var names []string
		for _, hit := range q.Hits {
			names = append(names, hit.Name)
		}
		got = append(got, strings.Join(names, " "))
	}
	if !slices.Equal(got, args) {
		ts.Fatalf("found %q", got)
	}
}

// unit FILE.npy checks that all features are of length 1.
func scriptUnit(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	m, err := features.ReadNPY(ts.MkAbs(args[0]))
	ts.Check(err)
	for i, row := range slices.Collect(slices.Chunk(m.Data, m.Dim)) {
		var sum float64
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		if math.Abs(sum-1) > 1e-5 {
			ts.Fatalf("row %d is of squared length %v", i, sum)
		}
	}
}

// json PATH OP VALUE [PATH OP VALUE]... looks into the JSON on standard output:
// students.0.name = second, students.len = 2, mAP > 0.3, path ~ regexp.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	for ; len(args) >= 3; args = args[3:] {
		value := at(doc, args[0])
		got, text := fmt.Sprint(value), args[2]
		a, errA := strconv.ParseFloat(got, 64)
		b, errB := strconv.ParseFloat(text, 64)
		numbers := errA == nil && errB == nil
		ok := false
		switch args[1] {
		case "=":
			ok = got == text || numbers && a == b
		case "!=":
			ok = got != text && !(numbers && a == b)
		case "<":
			ok = numbers && a < b
		case ">":
			ok = numbers && a > b
		case "~":
			ok = regexp.MustCompile(text).MatchString(got)
		default:
			ts.Fatalf("no operator %q", args[1])
		}
		if !ok {
			ts.Fatalf("%s is %s, not %s %s", args[0], got, args[1], text)
		}
	}
	if len(args) > 0 {
		ts.Fatalf("PATH OP VALUE, got %q", args)
	}
}

// at returns what is at a path of keys and indices; len is the length. What is
// not there is nil.
func at(doc any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch v := doc.(type) {
		case map[string]any:
			if value, there := v[key]; there || key != "len" {
				doc = value
			} else {
				doc = len(v)
			}
		case []any:
			i, err := strconv.Atoi(key)
			switch {
			case key == "len":
				doc = len(v)
			case err == nil && i < len(v):
				doc = v[i]
			default:
				return nil
			}
		default:
			return nil
		}
	}
	return doc
}

// shows FILE.json PATH... checks that fractions of a JSON file are on standard
// output, as percentages.
func scriptShows(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	for _, path := range args[1:] {
		if v, is := at(doc, path).(float64); !is || !strings.Contains(ts.ReadFile("stdout"), console.Percent(v)) {
			ts.Fatalf("%s is %v, which is not shown", path, at(doc, path))
		}
	}
}

// near A.json B.json TOLERANCE KEY... compares values of two JSON files: numbers
// may differ by so much, all else is the same.
func scriptNear(ts *testscript.TestScript, neg bool, args []string) {
	affirm(ts, neg)
	var a, b any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &a))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &b))
	tolerance, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	for _, key := range args[3:] {
		if at(a, key) == nil {
			ts.Fatalf("%s has no %s", args[0], key)
		}
		if difference := far(at(a, key), at(b, key), tolerance, key); difference != "" {
			ts.Fatalf("%s", difference)
		}
	}
}

// far says in what two values differ, or nothing.
func far(a, b any, tolerance float64, path string) string {
	switch x := a.(type) {
	case float64:
		if y, is := b.(float64); is && math.Abs(x-y) <= tolerance {
			return ""
		}
	case []any:
		if y, is := b.([]any); is && len(x) == len(y) {
			for i := range x {
				if d := far(x[i], y[i], tolerance, fmt.Sprint(path, ".", i)); d != "" {
					return d
				}
			}
			return ""
		}
	case map[string]any:
		if y, is := b.(map[string]any); is && len(x) == len(y) {
			for key := range x {
				if d := far(x[key], y[key], tolerance, path+"."+key); d != "" {
					return d
				}
			}
			return ""
		}
	default:
		if a == b {
			return ""
		}
	}
	return fmt.Sprintf("%s is %v and %v", path, a, b)
}

// set returns the path of something in a prepared set, which is not to be
// changed.
func set(t *testing.T, name string, elem ...string) string {
	t.Helper()
	dir, err := sets[name]()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{dir}, elem...)...)
}
