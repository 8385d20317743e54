package train

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/models"
)

// oneHeap is the variable that limits glibc's heaps.
const oneHeap = "MALLOC_ARENA_MAX"

// usage is what the process holds.
type usage struct {
	heapObjects         uint64
	goroutines, threads int
	resident            int64 // bytes; 0, like threads, where the system does not tell
}

// measure collects garbage first and gives it back to the system.
func measure() usage {
	for range 3 { // finalizers may free more
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{m.HeapObjects, runtime.NumGoroutine(), int(procStatus("Threads:")), procStatus("VmRSS:") << 10}
}

// procStatus reads a number of /proc/self/status; 0 where there is none.
func procStatus(field string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, field); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return n
		}
	}
	return 0
}

// smallCohort is two students that learn side by side, and a mini-batch.
func smallCohort(t *testing.T, backend kernel.Backend, arch string, input models.Shape, size, threads int) (*cohort, *dataset.Batch) {
	t.Helper()
	net, err := models.Build(arch, input, 4)
	if err != nil {
		t.Fatal(err)
	}
	w, err := net.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	rule := Config{}.WithDefaults().updateRule(Student{}, 1)
	c, err := newCohort(backend, []member{{"a", net, w, rule}, {"b", net, w, rule}}, cohortOptions{
		mode: ModeDML, batch: size, mimicry: ramp{value: 1}, threads: threads,
	})
	if err != nil {
		t.Fatal(err)
	}
	images := make([]float32, size*input.Size())
	for i := range images {
		images[i] = float32(goldenValue(uint64(i)))
	}
	return c, &dataset.Batch{Views: [][]float32{images}, Labels: make([]int32, size), N: size}
}

func work(t *testing.T, c *cohort, batch *dataset.Batch, steps int) {
	t.Helper()
	for i := range steps {
		if err := c.step(batch, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.panel().infer(batch.Views[0]); err != nil {
		t.Fatal(err)
	}
}

// TestNoGrowth trains for 1,000 steps, after which neither engines nor Go hold
// more than before.
func TestNoGrowth(t *testing.T) {
	for _, backend := range goldenBackends(t) {
		t.Run(backend.Info().Name, func(t *testing.T) {
			var allocated int64
			c, batch := smallCohort(t, counted{backend, &allocated}, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2, 2)
			defer c.close()
			work(t, c, batch, 100)
			before, beforeBytes := measure(), allocated
			work(t, c, batch, 1000)
			after := measure()
			objects, resident := int64(after.heapObjects)-int64(before.heapObjects), after.resident-before.resident
			t.Logf("1,000 steps: %+d bytes of engines, %+d Go objects, %+d KiB resident, %d goroutines and %d threads after %d and %d",
				allocated-beforeBytes, objects, resident>>10, after.goroutines, after.threads, before.goroutines, before.threads)
			if allocated != beforeBytes {
				t.Errorf("engines allocated %d bytes", allocated-beforeBytes)
			}
			// A tenth of an object or 2 KiB a step would show.
			if objects > 100 {
				t.Errorf("%d more Go objects", objects)
			}
			if resident > 2<<20 {
				t.Errorf("%d KiB more resident", resident>>10)
			}
			if after.goroutines != before.goroutines {
				t.Errorf("%d goroutines, before %d", after.goroutines, before.goroutines)
			}
		})
	}
}

// TestCloseFreesEverything opens and closes cohorts: engines, networks,
// optimizers, workers with their OS threads and the library's threads, one beside
// each worker. What stays after some rounds, such
// as the library's cache of compiled kernels, must not grow in many more. It runs
// in a process of its own with one heap for all threads: glibc would else give
// new threads new ones, and keep what they held.
func TestCloseFreesEverything(t *testing.T) {
	if os.Getenv(oneHeap) != "1" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCloseFreesEverything$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), oneHeap+"=1")
		out, err := cmd.CombinedOutput()
		t.Logf("with %s=1:\n%s", oneHeap, out)
		if err != nil {
			t.Error(err)
		}
		return
	}
	input := models.Shape{C: 3, H: 16, W: 16}
	const size, warmUp, rounds = 16, 10, 100
	for _, backend := range goldenBackends(t) {
		t.Run(backend.Info().Name, func(t *testing.T) {
			var allocated int64
			round := func() {
				c, batch := smallCohort(t, counted{backend, &allocated}, "resnet8", input, size, 4)
				if backend.Info().Name != "ref" { // slow, and has nothing but Go memory
					work(t, c, batch, 1)
				}
				if err := c.close(); err != nil {
					t.Fatal(err)
				}
			}
			for range warmUp {
				round()
			}
			before := settled(usage{})
			allocated = 0
			for range rounds {
				round()
			}
			after := settled(before)
			grown := after.resident - before.resident
			t.Logf("%d rounds: %d MiB allocated, %+d KiB resident, %+d Go objects, %d goroutines and %d threads after %d and %d", rounds,
				allocated>>20, grown>>10, int64(after.heapObjects)-int64(before.heapObjects),
				after.goroutines, after.threads, before.goroutines, before.threads)
			if limit := allocated / rounds; grown > limit {
				t.Errorf("%d KiB more resident after %d rounds: more than one round's %d KiB", grown>>10, rounds, limit>>10)
			}
			if after.heapObjects > before.heapObjects+rounds {
				t.Errorf("%d Go objects, before %d", after.heapObjects, before.heapObjects)
			}
			// Go starts a thread of its own now and then.
			if after.goroutines > before.goroutines || after.threads > before.threads+rounds/10 {
				t.Errorf("%d goroutines and %d OS threads, before %d and %d", after.goroutines, after.threads, before.goroutines, before.threads)
			}
		})
	}
}

// settled measures once threads have ended, which the system does in its own
// time.
func settled(before usage) usage {
	var u usage
	for range 50 {
		u = measure()
		if u.goroutines <= before.goroutines && u.threads <= before.threads {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return u
}
