package features

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/internal/pixels"
)

// batch is images decoded together.
type batch struct {
	first  int           // index in the part
	images []image.Image // nil where one cannot be decoded
	errs   []error       // why not
}

// decoder reads image files in memory that it uses again. It is for one
// goroutine.
type decoder struct{ buf bytes.Buffer }

func (d *decoder) decode(ctx context.Context, path string) (image.Image, error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	d.buf.Reset()
	if err := pixels.ReadEncoded(&d.buf, f); err != nil {
		return nil, err
	}
	return pixels.DecodeStandard(ctx, d.buf.Bytes())
}

// own are errors that are an image's own: of what its file holds, or of what its
// path leads to.
var own = []error{
	pixels.ErrFormat, pixels.ErrCorrupt, pixels.ErrTooLarge, files.ErrNotRegular, fs.ErrNotExist, fs.ErrPermission,
	syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL,
}

// broken reports an error that is the image's own; others, such as those of a
// failing disk, are not, and end an extraction, which can go on later.
func broken(err error) bool {
	return slices.ContainsFunc(own, func(target error) bool { return errors.Is(err, target) })
}

// reason is why an image is skipped, without its path, which is told beside it.
func reason(err error) string {
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		err = file.Err
	case errors.Is(err, files.ErrNotRegular):
		err = files.ErrNotRegular
	}
	return err.Error()
}

// decodeBatches decodes a part's files from index first on, so many at a time,
// and hands on each batch, the next of which is decoded meanwhile. The channel
// is closed at the end, also when ctx ends.
func decodeBatches(ctx context.Context, files func(i int) string, first, n, size, workers int) <-chan batch {
	out := make(chan batch)
	go func() {
		defer close(out)
		decoders := make([]decoder, workers)
		for ; first < n && ctx.Err() == nil; first += size {
			count := min(size, n-first)
			b := batch{first, make([]image.Image, count), make([]error, count)}
			var next atomic.Int64
			var wg sync.WaitGroup
			for w := range decoders {
				wg.Go(func() {
					for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
						b.images[i], b.errs[i] = decoders[w].decode(ctx, files(first+i))
					}
				})
			}
			wg.Wait()
			select {
			case out <- b:
			case <-ctx.Done():
			}
		}
	}()
	return out
}
