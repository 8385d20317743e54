package infer

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// Options says how to open a Model. The zero value is what most want.
type Options struct {
	// Engine loads and computes the networks; nil is ONNX Runtime. Another is
	// infer/gorgonia's.
	Engine Engine
	// Library is the path of ONNX Runtime's library; "" searches for it. It
	// matters for the first model only: the library is loaded once.
	Library string
	// Provider computes instead of the processor.
	Provider Provider
	// Threads is the number of threads of one call; 0 means GOMAXPROCS.
	Threads int
	// Outputs names the outputs of the file to compute, which Outputs.Named then
	// holds; nil means all those that have a meaning. A name that the file lacks
	// gives ErrNoOutput.
	Outputs []string
	// Ensemble is how several networks answer together; a single one has no use
	// for it.
	Ensemble Ensemble
	// Preset prepares images for a model that carries no metadata about them;
	// one that does is refused with ErrUnsupported.
	Preset *Preset
	// TopK is the number of classes in Prediction.Top; 0 means 5. There are
	// never more than the model has.
	TopK int
	// MaxBatch is how many samples go to the network at once, of the images of a
	// call and of calls that are joined; 0 means 32. A call of Run is never divided.
	MaxBatch int
	// Join joins concurrent calls into batches; nil computes each by itself.
	Join *Joining
	// MaxPixels bounds the memory of an encoded image's pixels as the decoder
	// holds them, in bytes: of JPEG up to 3 a pixel, of PNG up to 4, of PNG with 16
	// bits a channel up to 8. Larger images are refused by their header, with
	// ErrImage. 0 means 256 MiB.
	MaxPixels int
	// Decodes is how many images are decoded at a time by all calls together; 0
	// means GOMAXPROCS. Together with MaxPixels it bounds the memory for pixels.
	Decodes int
}

// Joining says how concurrent calls are joined. The zero value is ready.
//
// What joining gains depends on the network (BenchmarkJoin). One that reads many
// weights for few operations, such as wide fully connected layers, or one on an
// accelerator, computes a batch in much less time than its samples one by one.
// Small convolutional networks on a processor take the same time either way:
// there joining only bounds how many calls compute at a time. Where other
// programs use the same cores it can cost: the threads of one large call must
// meet after every layer, and wait for the one that is not scheduled, while
// callers with a call each do not. Options.Threads of 1 with Parallel of the
// number of cores avoids that.
type Joining struct {
	// MaxWait is how long the first call of a batch waits for others. 0 means not
	// at all: calls that come while the network is busy are joined all the same.
	MaxWait time.Duration
	// Parallel is how many batches are computed at a time; 0 means 1, which is
	// right where a call uses all cores (Options.Threads). Of networks on one
	// thread each, take as many as there are cores.
	Parallel int
}

// Validate reports every fault of o, joined.
func (o Options) Validate() error {
	var errs []error
	negative := func(name string, value int) {
		if value < 0 {
			errs = append(errs, fmt.Errorf("infer: %s is %d; it cannot be negative", name, value))
		}
	}
	negative("Threads", o.Threads)
	negative("TopK", o.TopK)
	negative("MaxBatch", o.MaxBatch)
	negative("MaxPixels", o.MaxPixels)
	negative("Decodes", o.Decodes)
	if o.Join != nil {
		negative("Join.Parallel", o.Join.Parallel)
		if o.Join.MaxWait < 0 {
			errs = append(errs, fmt.Errorf("infer: Join.MaxWait is %v; it cannot be negative", o.Join.MaxWait))
		}
	}
	if o.Preset != nil {
		if err := o.Preset.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("infer: %w", err))
		}
	}
	for i, w := range o.Ensemble.Weights {
		if !(w > 0) || math.IsInf(w, 0) {
			errs = append(errs, fmt.Errorf("infer: weight %d of the ensemble is %v; it must be positive", i+1, w))
		}
	}
	if o.Provider.Name == "" && len(o.Provider.Options) > 0 {
		errs = append(errs, errors.New("infer: Provider has options but no name"))
	}
	return errors.Join(errs...)
}

func orDefault(v, standard int) int {
	if v == 0 {
		return standard
	}
	return v
}

func (o Options) topK() int      { return orDefault(o.TopK, 5) }
func (o Options) maxBatch() int  { return orDefault(o.MaxBatch, 32) }
func (o Options) maxPixels() int { return orDefault(o.MaxPixels, 256<<20) }
func (o Options) decodes() int   { return orDefault(o.Decodes, runtime.GOMAXPROCS(0)) }

// imagesAtOnce is how many images go to a network at once: whole batches of a
// network whose batch is fixed, and no more than the bound of any tensor.
func (o Options) imagesAtOnce(batch, sample int) int {
	n := min(o.maxBatch(), max(1, onnxmeta.MaxSample/sample))
	if batch > 0 {
		n = max(batch, n/batch*batch)
	}
	return n
}
