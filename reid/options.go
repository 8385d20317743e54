package reid

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// Metric is how far two feature vectors q and g are apart.
type Metric string

const (
	// Cosine is 1 - q.g/(|q||g|). A vector of zeros is 1 from everything.
	Cosine Metric = "cosine"
	// Euclidean is |q - g|.
	Euclidean Metric = "euclidean"
	// Dot is 1 - q.g, of the features as they are.
	Dot Metric = "dot"
)

// Metrics lists the metrics.
func Metrics() []Metric {
	// The compiler does not tell where a further one is to be added: to newDirect
	// and the methods of direct, to Distance, accumulate and appendMean. Re-ranking
	// compares squared Euclidean distances whatever the metric.
	return []Metric{Cosine, Euclidean, Dot}
}

// Options of Evaluate. The zero value is the protocol's single query by cosine
// distance.
type Options struct {
	// Metric. Default: Cosine.
	Metric Metric
	// MultiQuery replaces each query by the mean of the features of all images of
	// its identity and camera. Under Cosine the features are first scaled to
	// length 1; under Cosine and Dot the mean is. Under Euclidean it stays as it
	// is, which ranks a gallery of vectors of one length the same.
	MultiQuery bool
	// Pool is where MultiQuery looks for images, such as Market-1501's gt_bbox. A
	// query that has none there stays as it is. Default: queries and gallery.
	Pool *Set
	// Expand replaces each query by the mean of itself and this many of its nearest
	// images of the gallery, whatever their labels (average query expansion),
	// scaled like that of MultiQuery, which comes first. Default 0: none.
	Expand int
	// Rerank evaluates also after re-ranking. Default nil: it does not.
	Rerank *Rerank
	// Ranks of the CMC. Default: 1, 5, 10, 20.
	Ranks []int
	// Best is how many images of the gallery to report for each query.
	// Default 0: none.
	Best int
	// BestSameCamera reports, among these, also the images of the query's person
	// by its own camera, which take no rank: so there can be more than Best.
	BestSameCamera bool
	// ZeroIsIdentity says that identity 0 is a person like others, as in MSMT17.
	ZeroIsIdentity bool
	// Float64 computes distances in float64, slowly and in more memory, of all that
	// Set.Features64 say. Multiplier is not used. Without it rankings are those of
	// float64, too, of features in float32; but scores of re-ranking and of the ROC
	// are rounded.
	Float64 bool
	// Workers is how many goroutines compute. Default: runtime.GOMAXPROCS(0).
	Workers int
	// Multiplier of matrices. Default: gonum's.
	Multiplier Multiplier
}

// Rerank are the parameters of k-reciprocal encoding (Zhong et al., CVPR 2017).
// It compares squared Euclidean distances, under Cosine of vectors scaled to
// length 1, among all queries and the whole gallery.
type Rerank struct {
	K1 int // size of the neighbourhoods, which memory grows with; default 20
	K2 int // neighbours whose encodings are averaged; default 6
	// Lambda is the weight, up to 1, of the original distance. Default 0.3; see
	// JaccardOnly for 0.
	Lambda float64
	// JaccardOnly gives the original distance no weight.
	JaccardOnly bool
	// Top re-ranks only this many of the nearest images of each query, with them and
	// the query alone as neighbours; the others follow in their order, at 1 plus
	// their original distance. It suits large galleries. Default 0: all.
	Top int
}

// MaxTop bounds Rerank.Top, and with it the square matrix of each worker, and K1
// and K2, and with them the neighbours that are kept of each image.
const MaxTop = 4096

// withDefaults returns the parameters in force.
func (r Rerank) withDefaults() Rerank {
	r.K1, r.K2, r.Lambda = cmp.Or(r.K1, 20), cmp.Or(r.K2, 6), cmp.Or(r.Lambda, 0.3)
	if r.JaccardOnly {
		r.Lambda = 0
	}
	return r
}

func (o Options) withDefaults() Options {
	o.Metric = cmp.Or(o.Metric, Cosine)
	if len(o.Ranks) == 0 {
		o.Ranks = []int{1, 5, 10, 20}
	}
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	if o.Multiplier == nil {
		o.Multiplier = Gonum{Workers: o.Workers}
	}
	return o
}

// ErrOptions is wrapped by every fault that Validate reports, and by those of other
// arguments that say what to do.
var ErrOptions = errors.New("bad option")

// Validate reports all faults of the options, joined.
func (o Options) Validate() error {
	var faults []error
	addf := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
	}
	if o.Metric != "" && !slices.Contains(Metrics(), o.Metric) {
		addf("the metric %q is not one of %q", o.Metric, Metrics())
	}
	if o.Pool != nil && !o.MultiQuery {
		addf("Pool without MultiQuery")
	}
	if o.Expand < 0 {
		addf("Expand is %d, below 0", o.Expand)
	}
	if o.Best < 0 {
		addf("Best is %d, below 0", o.Best)
	}
	if o.Workers < 0 {
		addf("Workers is %d, below 0", o.Workers)
	}
	for _, k := range o.Ranks {
		if k < 1 {
			addf("rank %d; ranks start at 1", k)
		}
	}
	if r := o.Rerank; r != nil {
		if r.K1 < 0 || r.K1 > MaxTop {
			addf("K1 is %d, not between 1 and %d", r.K1, MaxTop)
		}
		if r.K2 < 0 || r.K2 > MaxTop {
			addf("K2 is %d, not between 1 and %d", r.K2, MaxTop)
		}
		if !(r.Lambda >= 0 && r.Lambda <= 1) {
			addf("Lambda is %v, not within 0 and 1", r.Lambda)
		}
		if r.JaccardOnly && r.Lambda != 0 {
			addf("JaccardOnly, and Lambda is %v", r.Lambda)
		}
		if r.Top < 0 || r.Top > MaxTop {
			addf("Top is %d, not between 0 (all) and %d", r.Top, MaxTop)
		}
	}
	return errors.Join(faults...)
}
