package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
)

// Session is a training of a configuration: data, students and progress.
type Session struct {
	cfg     Config
	classes []string
	dataset string
	norm    dataset.Norm
	loader  *dataset.Loader
	val     *dataset.Loader
	cohort  *cohort
	panel   *panel

	id       json.RawMessage
	machine  Machine
	drifting bool      // states that were computed in another way are taken
	began    time.Time // the Run under way
	progress Progress
	sums     []Sums
	records  []StudentSummary
	ensemble Scores
	report   StepReport
	kept     keeper // of the best states, where Run has no store
}

// normSample is how many images the normalisation is estimated from.
const normSample = 5000

// Options holds what a training needs besides its Config. The zero value is
// usable.
type Options struct {
	// Backend computes the students; default: oneDNN where it is found.
	Backend *Backend
	// Teacher of mode distill, in use until the session is closed.
	Teacher Teacher
	// AllowDrift lets Restore take states that were computed in another way,
	// from which the run does not come to the bits that it would have come to.
	AllowDrift bool
	// Cache of decoded images, which changes the speed alone; default: one of 1
	// GiB. dataset.NewCache(0) keeps none.
	Cache *dataset.Cache
	// Identity is what must be the same, beside the Config and the data, when a
	// training goes on: values by names for people. Restore compares it.
	Identity map[string]string
}

// defaultCache is the memory for decoded images, in bytes.
const defaultCache = 1 << 30

// New prepares a training. Data must have a training and a validation part; nothing
// reads its test part.
func New(cfg Config, data dataset.Splits, opts Options) (*Session, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if data.Train == nil || data.Val == nil {
		return nil, errors.New("training needs a training and a validation part of the data")
	}
	if opts.Backend == nil {
		var err error
		if opts.Backend, err = OpenBackend(""); err != nil {
			return nil, err
		}
	}
	if classes := data.Train.Classes(); len(classes) < 2 {
		return nil, fmt.Errorf("%s has a single class, %q: a classifier needs two or more", data.Train.Name(), classes)
	}
	s := &Session{cfg: cfg, drifting: opts.AllowDrift, classes: data.Train.Classes(), dataset: data.Train.Name()}
	shape, err := s.prepare(data)
	if err != nil {
		return nil, err
	}
	if err := s.checkTeacher(opts.Teacher); err != nil {
		return nil, err
	}
	if err := s.openLoaders(data, shape, opts); err != nil {
		return nil, err
	}
	if s.id, err = s.identity(data, opts.Teacher, opts.Identity); err != nil {
		return nil, err
	}
	members := make([]member, len(cfg.Students))
	s.records = make([]StudentSummary, len(cfg.Students))
	for i, sc := range cfg.Students {
		net, err := sc.build(models.Shape{C: shape.Channels, H: shape.Height, W: shape.Width}, len(s.classes))
		if err != nil {
			return nil, err
		}
		weights, err := sc.initial(net)
		if err != nil {
			return nil, err
		}
		members[i] = member{sc.Name, net, weights, cfg.updateRule(sc, s.loader.Batches())}
		parameters, err := net.ParameterCount()
		if err != nil {
			return nil, err
		}
		s.records[i] = StudentSummary{Name: sc.Name, Arch: sc.Arch, Parameters: parameters}
	}
	s.cohort, err = newCohort(opts.Backend.kernels, members, cohortOptions{
		mode: cfg.Mode, order: cfg.Order, mimicry: cfg.Mimicry.ramp(s.loader.Batches()),
		loss:    objectiveSpec{temperature: cfg.Mimicry.Temperature, smoothing: cfg.LabelSmoothing},
		teacher: opts.Teacher, ownViews: cfg.Views == ViewsPerStudent,
		batch: cfg.Batch, seed: cfg.Seed, threads: cfg.Threads, noWinograd: cfg.NoWinograd, bfloat16: cfg.BFloat16,
	})
	if err != nil {
		return nil, err
	}
	s.setMachine(opts.Backend)
	s.panel = s.cohort.panel()
	s.sums = make([]Sums, len(members))
	s.report.Students = make([]StudentStep, len(members))
	return s, nil
}

// prepare finds out what images are scaled to and how they are normalised.
func (s *Session) prepare(data dataset.Splits) (dataset.Shape, error) {
	shape, err := dataset.ShapeOf(data.Train)
	if err != nil {
		return shape, err
	}
	if s.cfg.Height == 0 {
		if err := dataset.CheckSizes(data.Train); err != nil {
			return shape, fmt.Errorf("Config.Height and Width: %w", err)
		}
	} else {
		shape.Height, shape.Width = s.cfg.Height, s.cfg.Width
	}
	s.norm, err = dataset.MeanStd(data.Train, shape.Channels, normSample)
	return shape, err
}

func (s *Session) openLoaders(data dataset.Splits, shape dataset.Shape, options Options) error {
	opts := dataset.LoaderOptions{Batch: s.cfg.Batch, Shape: shape, Norm: s.norm, Cache: options.Cache}
	if opts.Cache == nil {
		opts.Cache = dataset.NewCache(defaultCache)
	}
	var err error
	if s.val, err = dataset.NewLoader(data.Val, opts); err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	opts.Augment, opts.Seed, opts.Shuffle, opts.DropLast = s.cfg.Augment, s.cfg.Seed, true, true
	if s.cfg.Views == ViewsPerStudent {
		opts.Views = len(s.cfg.Students)
	}
	if options.Teacher != nil {
		input := options.Teacher.Info().Input
		opts.Second = &input
	}
	if s.loader, err = dataset.NewLoader(data.Train, opts); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	return nil
}

// Reference returns up to n (at least 1, at most a mini-batch of) preprocessed
// validation samples, to compare exported students on: the values, and how many
// samples they are.
func (s *Session) Reference(ctx context.Context, n int) ([]float32, int, error) {
	epoch := s.val.Epoch(ctx, 0, 0)
	defer epoch.Close()
	batch, err := epoch.Next()
	if err != nil {
		return nil, 0, err
	}
	n = max(1, min(n, batch.N))
	return append([]float32(nil), batch.Images[:n*len(batch.Images)/batch.N]...), n, nil
}

// Run trains to the configured number of epochs. A nil store keeps each
// student's best state in memory, see Best. When ctx ends or the configuration's
// Stop says so, it stops after the step under way, saves the state and returns a
// Summary that gives the reason. It saves the state, too, before it returns an
// error of the data or of the evaluation; after any other error the states saved
// before are in place. It never saves non-finite weights: that error is a
// *DivergedError, which names student and step.
func (s *Session) Run(ctx context.Context, store Store, events Events) (Summary, error) {
	if store == nil {
		store = &s.kept
	}
	s.began = time.Now()
	for s.progress.Epoch < s.cfg.Epochs {
		stopped, err := s.epoch(ctx, store, events)
		if err != nil {
			return Summary{}, err
		}
		if stopped != "" {
			return s.summary(stopped), s.save(store)
		}
	}
	return s.summary(""), nil
}

func (s *Session) summary(stopped StopReason) Summary {
	return Summary{Stopped: stopped, Epoch: s.progress.Epoch, Step: s.number(s.progress.Step), Students: slices.Clone(s.records), Ensemble: s.ensemble}
}

// epoch trains the rest of an epoch, evaluates and saves, unless there is a
// reason to stop before.
func (s *Session) epoch(ctx context.Context, store Store, events Events) (StopReason, error) {
	if stop := s.stopBeforeEpoch(); stop != "" {
		return stop, nil
	}
	begin, steps, first := time.Now(), s.loader.Batches(), s.progress.Step
	batches := s.loader.Epoch(ctx, s.progress.Epoch, first)
	defer batches.Close()
	for {
		if ctx.Err() != nil {
			return StopInterrupt, nil
		}
		if s.progress.Step < steps { // an epoch whose steps are made is finished
			if stop := s.stopBeforeStep(); stop != "" {
				return stop, nil
			}
		}
		batch, err := batches.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if ctx.Err() != nil {
				return StopInterrupt, nil
			}
			return "", errors.Join(err, s.save(store))
		}
		if err := s.cohort.step(batch, s.number(s.progress.Step)); err != nil {
			return "", stepError(err, s.progress.Epoch+1, s.progress.Step+1)
		}
		s.progress.Step++
		s.account(batch)
		if events.Step != nil {
			events.Step(s.stepReport(steps, imagesPerSecond((s.progress.Step-first)*s.cfg.Batch, begin)))
		}
	}
	speed := imagesPerSecond((s.progress.Step-first)*s.cfg.Batch, begin)
	evaluation, err := s.panel.evaluate(ctx, s.val)
	if err != nil {
		if ctx.Err() != nil {
			return StopInterrupt, nil
		}
		return "", errors.Join(err, s.save(store))
	}
	if err := s.checkFinite(); err != nil {
		return "", err
	}
	for _, st := range evaluation.Students {
		if math.IsNaN(st.NLL) || math.IsNaN(st.Entropy) {
			return "", s.diverged(st.Name, "on validation it has posteriors")
		}
	}
	report := s.closeEpoch(evaluation, speed)
	report.Seconds = time.Since(begin).Seconds()
	if err := store.Epoch(report); err != nil {
		return "", err
	}
	if err := s.save(store); err != nil {
		return "", err
	}
	if events.Epoch != nil {
		events.Epoch(report)
	}
	return "", nil
}

// stepError says in which step of which epoch, both from 1, a step failed.
func stepError(err error, epoch, step int) error {
	if diverged := (*DivergedError)(nil); errors.As(err, &diverged) {
		diverged.Epoch, diverged.Step = epoch, step
		return diverged
	}
	return fmt.Errorf("epoch %d, step %d: %w", epoch, step, err)
}

// number returns how many steps of the training come before a step of the
// epoch under way.
func (s *Session) number(step int) int { return s.progress.Epoch*s.loader.Batches() + step }

func imagesPerSecond(images int, since time.Time) float64 {
	return float64(images) / max(time.Since(since).Seconds(), 1e-9)
}

// account adds the step's losses to the epoch's sums.
func (s *Session) account(batch *dataset.Batch) {
	for i, st := range s.cohort.students {
		sum := &s.sums[i]
		sum.Steps++
		sum.Samples += batch.N
		sum.Correct += st.correct(batch.Labels)
		sum.CrossEntropy += float64(st.objective.crossEntropy[0])
		sum.Loss += float64(st.objective.total[0])
		if st.objective.mimicry != nil {
			sum.Mimicry += float64(st.objective.mimicry[0])
		}
	}
}

func (s *Session) stepReport(steps int, speed float64) StepReport {
	s.report.Epoch, s.report.Epochs = s.progress.Epoch+1, s.cfg.Epochs
	s.report.Step, s.report.Steps, s.report.ImagesPerSecond = s.progress.Step, steps, speed
	for i, st := range s.cohort.students {
		sum, n := s.sums[i], float64(s.sums[i].Steps)
		s.report.Students[i] = StudentStep{Name: st.name, Loss: sum.Loss / n, CrossEntropy: sum.CrossEntropy / n,
			Mimicry: sum.Mimicry / n, Accuracy: float64(sum.Correct) / float64(sum.Samples)}
	}
	return s.report
}

// closeEpoch turns the sums and the evaluation into a report, and moves on to
// the next epoch.
func (s *Session) closeEpoch(evaluation Evaluation, speed float64) EpochReport {
	s.ensemble = evaluation.Ensemble
	lastStep := s.number(s.loader.Batches() - 1)
	s.progress.Epoch++
	report := EpochReport{Epoch: s.progress.Epoch, Step: s.progress.Epoch * s.loader.Batches(),
		MimicryWeight: s.cohort.mimicry.at(lastStep), Ensemble: s.ensemble, ImagesPerSecond: speed}
	step := s.stepReport(s.loader.Batches(), speed)
	for i, st := range step.Students {
		r := &s.records[i]
		r.Last = evaluation.Students[i].Scores
		best := r.BestEpoch == 0 || r.Last.Better(r.Best)
		if best {
			r.BestEpoch, r.Best = s.progress.Epoch, r.Last
		}
		report.Students = append(report.Students, StudentEpoch{Name: st.Name,
			LearningRate: s.cohort.students[i].rule.rate(lastStep), Loss: st.Loss, CrossEntropy: st.CrossEntropy,
			Mimicry: st.Mimicry, TrainAccuracy: st.Accuracy, Validation: r.Last, Best: best})
	}
	s.progress.Step = 0
	clear(s.sums)
	return report
}

// Config returns the configuration, its defaults written out.
func (s *Session) Config() Config { return s.cfg }

// Close frees the students; the session cannot be used afterwards.
func (s *Session) Close() error { return s.cohort.close() }
