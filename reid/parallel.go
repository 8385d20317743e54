package reid

import (
	"context"
	"sync"
	"sync/atomic"
	"unsafe"
)

// parallel calls f for 0 to n-1 from so many goroutines.
func parallel(workers, n int, f func(worker, i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for w := range min(workers, n) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(w, i)
			}
		})
	}
	all.Wait()
}

// blockBytes bounds the block of distances in memory.
const blockBytes = 64 << 20

// forEachBlock computes the rows of all queries, a block at a time, and calls
// use for each from the workers, numbered from 0.
func forEachBlock[T float](ctx context.Context, src source[T], queries, columns, workers int,
	use func(row []T, query, worker int)) error {
	var zero T
	most := max(1, min(queries, blockBytes/int(unsafe.Sizeof(zero))/max(1, columns)))
	blocks := (queries + most - 1) / max(1, most)
	most = (queries + blocks - 1) / max(1, blocks) // blocks of like size
	block := make([]T, most*columns)
	for from := 0; from < queries; from += most {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(most, queries-from)
		if err := src.rows(block[:n*columns], from, n); err != nil {
			return err
		}
		parallel(workers, n, func(worker, i int) {
			if ctx.Err() != nil {
				return // a block can take minutes where its rows are re-ranked
			}
			row := block[i*columns : (i+1)*columns]
			src.finish(row, from+i, worker)
			use(row, from+i, worker)
		})
	}
	return ctx.Err()
}
