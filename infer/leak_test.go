//go:build cgo && linux

package infer

import (
	"context"
	"errors"
	"flag"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

var leakCalls = flag.Int("leak-calls", 3000, "calls of TestNoLeak; 100000 is the full test")

// residentKiB is the process's resident memory.
func residentKiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// TestNoLeak makes many calls of every kind and looks at the memory of the
// process, which holds what both Go and ONNX Runtime allocate.
func TestNoLeak(t *testing.T) {
	in := models.Shape{C: 1, H: 8, W: 8}
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, export.Options{}), Options{Threads: 1})
	dynamic := openBytes(t, castNonZero(t), Options{Threads: 1})
	img := FromBytes(pngOf(t, congruential(9, 9, 1)))
	batch := noise(5*in.Size(), 1)
	large := make([]float32, leastLent)
	for i := range large {
		large[i] = 1 // so that NonZero gives as many values for each sample
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call := func(i int) {
		var err error
		switch i % 5 {
		case 0:
			n := 1 + i/5%5
			_, err = m.Run(ctx, batch[:n*in.Size()], n)
		case 1:
			_, err = m.Run(context.Background(), batch[:in.Size()], 1)
		case 2:
			_, err = m.Predict(ctx, img)
		case 3:
			_, err = dynamic.Run(context.Background(), []float32{0, 3, 0, 5}, 2)
		case 4: // in the caller's memory
			_, err = dynamic.Run(ctx, large, leastLent/2)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	settle := func() int {
		runtime.GC()
		return residentKiB(t)
	}
	for i := range 1000 {
		call(i)
	}
	before := settle()
	for i := range *leakCalls {
		call(i)
	}
	after := settle()
	t.Logf("%d calls: resident memory from %d to %d KiB", *leakCalls, before, after)
	// A leak of 100 bytes a call is 10 MB in the full test. The collector's and
	// the allocators' own slack is a few.
	if grown := after - before; grown > 6<<10 {
		t.Errorf("%d calls: resident memory grew by %d KiB", *leakCalls, grown)
	}
}

// TestOpenLeaksNothing opens models, some in vain after ONNX Runtime has loaded
// them, and looks at the memory of the process.
func TestOpenLeaksNothing(t *testing.T) {
	in := models.Shape{C: 3, H: 8, W: 8}
	good := changed(t, in, export.Options{}, func(*onnxpb.ModelProto) {})
	contradicting := changed(t, in, export.Options{}, func(m *onnxpb.ModelProto) {
		for _, p := range m.MetadataProps {
			if p.GetKey() == "dml.height" {
				p.Value = proto.String("9")
			}
		}
	})
	openBytes(t, good, Options{Threads: 1}) // keeps the environment
	cycle := func() {
		m, err := OpenBytes(Options{Threads: 1}, good)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Run(context.Background(), make([]float32, in.Size()), 1); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenBytes(Options{Threads: 1}, contradicting); !errors.Is(err, ErrUnsupported) {
			t.Fatal(err)
		}
		if _, err := OpenBytes(Options{Threads: 1, Preset: &Preset{}}, good); !errors.Is(err, ErrUnsupported) {
			t.Fatal(err)
		}
		if _, err := OpenBytes(Options{Threads: 1, Provider: Provider{Name: "none"}}, good); !errors.Is(err, ErrNoProvider) {
			t.Fatal(err)
		}
	}
	for range 50 {
		cycle()
	}
	runtime.GC()
	before := residentKiB(t)
	for range *leakCalls / 10 {
		cycle()
	}
	runtime.GC()
	after := residentKiB(t)
	t.Logf("%d times: resident memory from %d to %d KiB", *leakCalls/10, before, after)
	if grown := after - before; grown > 6<<10 { // a session takes about 290 KiB
		t.Errorf("resident memory grew by %d KiB", grown)
	}
}
