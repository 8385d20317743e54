package train

import (
	"sync"
	"syscall"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
)

// counting is a backend that notes on which OS thread each engine was made, and
// with how many threads of its own.
type counting struct {
	kernel.Backend
	mu      sync.Mutex
	threads map[int]int // by OS thread: of its largest engine
}

func (c *counting) NewEngine(opts kernel.EngineOptions) (kernel.Engine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := syscall.Gettid()
	c.threads[id] = max(c.threads[id], opts.Threads)
	return c.Backend.NewEngine(opts)
}

// TestThreadsThatCompute counts the threads that compute at once: students side
// by side have an OS thread each, and all their threads together are no more than
// allowed; students in turn share one OS thread.
func TestThreadsThatCompute(t *testing.T) {
	net := goldenNetwork(t)
	initial, err := net.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ students, threads, osThreads, computing int }{
		{1, 4, 1, 4}, {2, 2, 2, 2}, {2, 5, 2, 4}, {3, 8, 3, 6}, {3, 2, 1, 2}, {4, 1, 1, 1},
	} {
		backend := &counting{Backend: ref.New(), threads: make(map[int]int)}
		var members []member
		for i := range tc.students {
			members = append(members, member{string(rune('a' + i)), net, initial, goldenRule()})
		}
		c, err := newCohort(backend, members, cohortOptions{mode: ModeDML, batch: 2, threads: tc.threads})
		if err != nil {
			t.Fatal(err)
		}
		computing := 0
		for _, n := range backend.threads {
			computing += n
		}
		if len(backend.threads) != tc.osThreads || len(c.workers) != tc.osThreads {
			t.Errorf("%d students on %d threads: %d OS threads and %d workers, want %d", tc.students, tc.threads, len(backend.threads), len(c.workers), tc.osThreads)
		}
		if computing != tc.computing || computing > tc.threads {
			t.Errorf("%d students on %d threads: %d compute at once, want %d", tc.students, tc.threads, computing, tc.computing)
		}
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}
}
