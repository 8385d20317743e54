package train

import (
	"fmt"
	"runtime"
)

// worker runs jobs one after another on an OS thread of its own: a native
// library's thread pool belongs to the OS thread that calls it.
type worker struct {
	jobs    chan func() error
	results chan error
}

func newWorker() *worker {
	w := &worker{jobs: make(chan func() error), results: make(chan error, 1)}
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		for job := range w.jobs {
			w.results <- job()
		}
	}()
	return w
}

func (w *worker) start(job func() error) { w.jobs <- job }
func (w *worker) wait() error            { return <-w.results }
func (w *worker) close()                 { close(w.jobs) }

func (w *worker) do(job func() error) error {
	w.start(job)
	return w.wait()
}

// lineup says how the students share the processor.
type lineup struct {
	// sideBySide runs every student on a worker of its own; otherwise one
	// worker runs them in turn.
	sideBySide bool
	threads    int // of each student's kernels
}

func (l lineup) String() string {
	threads := fmt.Sprintf("%d threads", l.threads)
	if l.threads == 1 {
		threads = "1 thread"
	}
	if l.sideBySide {
		return "side by side on " + threads + " each"
	}
	return "in turn on " + threads
}

// similarCost is how many times dearer the dearest student may be than the
// cheapest for the two to run side by side: past it, the cheap one's threads
// would idle for most of the step.
const similarCost = 1.5

// planLineup gives students of near-equal cost a group of threads each, where
// there are enough, and otherwise all threads to one student at a time. It
// depends on the multiply-adds and the number of threads alone, so a run that
// keeps its threads keeps its plan, and with it its bits.
func planLineup(costs []int64, threads int) lineup {
	lo, hi := costs[0], costs[0]
	for _, c := range costs {
		lo, hi = min(lo, c), max(hi, c)
	}
	if k := len(costs); k > 1 && k <= threads && float64(hi) <= similarCost*float64(lo) {
		return lineup{sideBySide: true, threads: threads / k}
	}
	return lineup{threads: threads}
}
