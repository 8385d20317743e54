package infer

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Model is one network, or several that answer as an ensemble. It is safe for
// concurrent use.
type Model struct {
	current atomic.Pointer[group]
	meter   meter
}

// Open opens the ONNX file at a path, or the files at several paths as an
// ensemble, which answers as Options.Ensemble says. Close the Model after use.
//
// The error names the file. It wraps that of opening it, ErrNotONNX,
// ErrUnsupported, ErrNoRuntime, ErrRuntimeTooOld, ErrNoProvider or ErrNoOutput;
// of several files ErrMismatch where they do not agree in the preparation of images
// and in classes or where one is given twice, and ErrNoMetadata where one does not
// say how images are prepared. After an error nothing stays open.
func Open(opts Options, paths ...string) (*Model, error) {
	if err := distinct(paths); err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	sources := make([]Source, len(paths))
	for i, path := range paths {
		sources[i].Path = path
	}
	return open(opts, sources)
}

// OpenBytes is Open of the bytes of ONNX files, which are not needed afterwards. A
// model whose weights are in other files needs Open.
func OpenBytes(opts Options, models ...[]byte) (*Model, error) {
	sources := make([]Source, len(models))
	for i, data := range models {
		if sources[i].Data = data; data == nil {
			sources[i].Data = []byte{}
		}
	}
	return open(opts, sources)
}

// OpenFS is Open of files of a file system, such as one that is embedded in the
// program.
func OpenFS(opts Options, fsys fs.FS, names ...string) (*Model, error) {
	sources := make([]Source, len(names))
	for i, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("infer: %w", err)
		}
		sources[i] = Source{Path: name, Data: data}
	}
	return open(opts, sources)
}

// New makes a Model of backends, which close with it. It uses of the options what
// is not about opening a file. On an error the backends stay open.
func New(opts Options, backends ...Backend) (*Model, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	networks := make([]*network, len(backends))
	for i, b := range backends {
		var err error
		if networks[i], err = newNetwork(b, opts); err != nil {
			return nil, fmt.Errorf("infer: %w", err)
		}
	}
	return newModel(networks, opts)
}

func open(opts Options, sources []Source) (*Model, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	var networks []*network
	for _, src := range sources {
		n, err := load(src, opts)
		if err != nil {
			err = fmt.Errorf("infer: %s: %w", src, err)
			return nil, errors.Join(err, closeAll(networks))
		}
		networks = append(networks, n)
	}
	m, err := newModel(networks, opts)
	if err != nil {
		return nil, errors.Join(err, closeAll(networks))
	}
	return m, nil
}

// load opens one network.
func load(src Source, opts Options) (*network, error) {
	engine := opts.Engine
	if engine == nil {
		engine = onnxRuntime{}
	}
	b, err := engine.Load(src, opts)
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(b, opts)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if n.prepErr != nil {
		n.prepErr = fmt.Errorf("%s: %w", src, n.prepErr)
	}
	return n, nil
}

func newModel(networks []*network, opts Options) (*Model, error) {
	g, err := newGroup(networks, opts)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	m := new(Model)
	g.meter.Store(&m.meter)
	m.current.Store(g)
	return m, nil
}

// distinct reports a file that is given twice, by whatever path: it would count
// twice in the mean.
func distinct(paths []string) error {
	if len(paths) < 2 {
		return nil
	}
	var before []os.FileInfo
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		j := slices.IndexFunc(before, func(other os.FileInfo) bool { return os.SameFile(info, other) })
		if j >= 0 {
			return fmt.Errorf("%w: models %d (%s) and %d (%s) are the same file", ErrMismatch, j+1, paths[j], i+1, path)
		}
		before = append(before, info)
	}
	return nil
}

// Info describes the model; after Replace the one that works now.
func (m *Model) Info() Info { return m.current.Load().info.clone() }

// Networks describes each network.
func (m *Model) Networks() []Info {
	networks := m.current.Load().networks
	out := make([]Info, len(networks))
	for i, n := range networks {
		out[i] = n.info.clone()
	}
	return out
}

// Replace lets the networks of next answer later calls, with the options that next
// was opened with, waits for calls under way and closes the networks that answered
// them; the error is that of closing. No call is lost. next is closed then, without
// its networks, and Stats go on.
//
// Whether next fits is the caller's to decide, by Info: it may have other classes,
// embeddings of another length, or an input of another size, for which Run gives
// ErrWrongSize.
//
// Where next is nil, m itself or closed, the error wraps ErrWrongInput, and where m
// is closed, ErrClosed; both models are left as they were.
func (m *Model) Replace(next *Model) error {
	if next == nil || next == m {
		return fmt.Errorf("infer: %w: a model is replaced by another one, neither nil nor itself", ErrWrongInput)
	}
	if m.current.Load().gone {
		return fmt.Errorf("infer: %w", ErrClosed)
	}
	g := next.current.Load()
	if g.gone || !next.current.CompareAndSwap(g, g.successor(nil)) {
		return fmt.Errorf("infer: %w: the model to take over: %w", ErrWrongInput, ErrClosed)
	}
	g.meter.Store(&m.meter)
	for {
		last := m.current.Load()
		if last.gone { // closed meanwhile
			g.meter.Store(&next.meter)
			next.current.Store(g)
			return fmt.Errorf("infer: %w", ErrClosed)
		}
		if m.current.CompareAndSwap(last, g) {
			return last.close()
		}
	}
}

// Close waits for calls under way and frees the networks. Calls that wait to be
// joined are computed at once. Closing again does nothing but wait.
func (m *Model) Close() error {
	for {
		g := m.current.Load()
		if g.gone {
			if g.before != nil {
				g.before.gate.close()
			}
			return nil
		}
		if m.current.CompareAndSwap(g, g.successor(g)) {
			return g.close()
		}
	}
}

// begin starts a call of what the model holds now, which end ends.
func (m *Model) begin() (*group, time.Time, error) {
	for {
		g := m.current.Load()
		if g.gate.enter() == nil {
			return g, time.Now(), nil
		}
		if m.current.Load() == g {
			return nil, time.Time{}, fmt.Errorf("infer: %w", ErrClosed)
		}
	}
}

// end ends a call, and makes its error one of this package.
func (m *Model) end(g *group, began time.Time, err *error) {
	g.gate.leave()
	m.meter.call(time.Since(began), *err)
	if *err != nil && !isOfImages(*err) {
		*err = fmt.Errorf("infer: %w", *err)
	}
}

// Run runs the networks on a batch of n samples, normalised, [n, channels, height,
// width] in row-major order, or in its own layout where a third-party model has
// another. The batch must not change meanwhile: large ones are not copied. The
// error wraps ErrWrongSize for any other size, and ErrWrongInput for a model that
// takes 8-bit pixels. A model whose batch is fixed takes any n, too: the last
// batch is filled up. The result is the caller's own.
func (m *Model) Run(ctx context.Context, batch []float32, n int) (out Outputs, err error) {
	g, began, err := m.begin()
	if err != nil {
		return Outputs{}, err
	}
	defer m.end(g, began, &err)
	return g.runFloats(ctx, batch, n)
}

// RunPixels is Run of n images of the model's size, 8-bit pixels [n, height, width,
// channels] in the order of its channels. They are normalised as the model's
// metadata or preset says. A model that takes 8-bit pixels gets them as they are,
// and so needs neither.
func (m *Model) RunPixels(ctx context.Context, batch []uint8, n int) (out Outputs, err error) {
	g, began, err := m.begin()
	if err != nil {
		return Outputs{}, err
	}
	defer m.end(g, began, &err)
	return g.runPixels(ctx, batch, n)
}

// Predict classifies images, in order. Where single images are at fault, the error
// is an *ImagesError that names them, and the others' predictions are there: that
// of an image at fault has no Probabilities. Such faults are those of reading and
// decoding (ErrImage), and scores that are not finite (ErrUnsupported). After any
// other error there are no predictions. A model that does not say how to prepare
// images gives ErrNoMetadata.
func (m *Model) Predict(ctx context.Context, images ...Image) ([]Prediction, error) {
	return answer(ctx, m, images, answers[Prediction]{"probabilities", Outputs.Posterior, func(g *group, p []float32) Prediction {
		return Prediction{Probabilities: p, Top: top(p, g.info.Classes, g.opts.topK())}
	}})
}

// Embed returns the features of images, of length 1 (L2); those of an image at
// fault are nil. Its errors are as Predict's.
func (m *Model) Embed(ctx context.Context, images ...Image) ([][]float32, error) {
	return answer(ctx, m, images, answers[[]float32]{"embedding", func(o Outputs) []float32 { return o.Embedding }, func(_ *group, v []float32) []float32 {
		normalise(v)
		return v
	}})
}

// EmbedImages is Embed of decoded images, which makes a Model an Embedder of
// package reid.
func (m *Model) EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error) {
	out := make([]Image, len(images))
	for i, img := range images {
		out[i] = FromImage(img)
	}
	return m.Embed(ctx, out...)
}
