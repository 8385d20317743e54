package retrieval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/embedder"
	"github.com/deepmutual/dml/reid/features"
)

// SourceHelp describes where features come from, for the help of every command
// that takes some.
const SourceHelp = "Features come from one of three places:\n" +
	"  --features F/                        a folder that dml reid extract made\n" +
	"  --gallery G.npy --query Q.npy        NumPy files of float16, float32 or float64, a row an image;\n" +
	"                                       G.csv and Q.csv (or --gallery-labels, --query-labels) have\n" +
	"                                       a row for each: name,pid,camid, as in 0002_c1.jpg,2,1\n" +
	"  MODEL.onnx... --data DIR|LIST.csv    images, of which the models make features there and then\n"

// OwnHelp says how queries of your own are given.
const OwnHelp = "Queries of your own: --query Q.npy, or with MODEL.onnx... image files, or folders of them.\n"

// SourceFlags name features; see SourceHelp.
func SourceFlags() []cli.Flag {
	return slices.Concat(console.Group("Where features come from",
		onceFlag("features", "", "take the features in folder `F`"),
		onceFlag("gallery", "", "take the gallery's features from `FILE.npy`"),
		onceFlag("gallery-labels", "beside FILE.npy", "and its labels from `FILE.csv`"),
		&cli.StringSliceFlag{Name: "query", Usage: "take the queries from `FILE.npy`, or look for an image of your own; may be repeated"},
		onceFlag("query-labels", "beside FILE.npy", "and their labels from `FILE.csv`"),
		onceFlag("fingerprint-from", "the folder of FILE.npy", "folder `F` whose features.json says how those of .npy files were made"),
	), extractFlags())
}

// onceFlag is a text that cannot be given twice, of which one would be ignored.
func onceFlag(name, standard, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, DefaultText: standard, Usage: usage, Value: new(once)}
}

type once struct {
	text string
	set  bool
}

func (o *once) Set(text string) error {
	if o.set {
		return fmt.Errorf("it was %q before: give it once", o.text)
	}
	o.text, o.set = text, true
	return nil
}

func (o *once) String() string { return o.text }

// SourceOptions say what a command takes.
type SourceOptions struct {
	// Own says that it takes queries of your own, as arguments, too.
	Own bool
	// Part says that it needs one part alone.
	Part bool
	// Images says that --data also tells where the images of --features are.
	Images bool
}

// Source is where a command's features come from.
type Source struct {
	Models []string // ONNX files
	Names  []string // queries that are called by their names in the data
	ctx    *cli.Context
	form   string   // "--features", "--gallery", "--data", or "--query" where only that is given
	npy    string   // of --query
	images []string // of --query
}

// ParseSource reads the arguments, without the first few, and flags that name
// features.
func ParseSource(ctx *cli.Context, args []string, opts SourceOptions) (*Source, error) {
	name := strings.TrimPrefix(ctx.Command.HelpName, "dml ")
	s := &Source{ctx: ctx}
	queries := slices.Clone(ctx.StringSlice("query"))
	for _, arg := range args {
		switch {
		case inference.IsModel(arg):
			s.Models = append(s.Models, arg)
		case opts.Own:
			queries = append(queries, arg)
		default:
			return nil, console.Usagef("%s: unexpected argument %q", name, arg)
		}
	}
	for _, q := range queries {
		switch {
		case q == "":
			return nil, console.Usagef("--query is empty")
		case filepath.Ext(q) == ".npy" && len(queries) > 1:
			return nil, console.Usagef("--query: %s is not the only one: give one .npy file, or images", q)
		case filepath.Ext(q) == ".npy":
			s.npy = q
		case !opts.Own:
			return nil, console.Usagef("--query: %s is not a .npy file, and %s takes no images of your own", q, name)
		case len(s.Models) > 0:
			s.images = append(s.images, q)
		default:
			s.Names = append(s.Names, q)
		}
	}
	var forms []string
	for _, flag := range []string{"features", "gallery", "data"} {
		if ctx.String(flag) != "" && !(flag == "data" && opts.Images && len(forms) > 0) {
			forms = append(forms, "--"+flag)
		}
	}
	alone := s.npy != "" || len(s.images) > 0 || len(s.Names) > 0
	if opts.Part && alone && !slices.Contains(forms, "--gallery") {
		forms = append(forms, "--query")
	}
	switch {
	case len(forms) > 1:
		return nil, console.Usagef("%s takes features from one place, not from %s", name, strings.Join(forms, " and "))
	case len(forms) == 0 && len(s.Models) > 0:
		return nil, console.Usagef("%s: ONNX files need --data, the images to make features of", name)
	case len(forms) == 0:
		return nil, console.Usagef("%s needs features: --features F/, --gallery G.npy and --query Q.npy, or ONNX files with --data", name)
	}
	s.form = forms[0]
	return s, s.check(name, opts)
}

// check refuses flags that have nothing to say.
func (s *Source) check(name string, opts SourceOptions) error {
	switch {
	case s.form == "--data" && len(s.Models) == 0:
		return console.Usagef("%s: --data needs ONNX files (.onnx) that make features of the images", name)
	case s.form == "--query" && len(s.Names) > 0:
		return console.Usagef("%s: %s needs ONNX files (.onnx) that make features of it", name, s.Names[0])
	case s.form == "--gallery" && !opts.Part && s.npy == "" && len(s.images) == 0:
		return console.Usagef("%s: --gallery needs --query, the queries", name)
	case s.npy != "" && s.form != "--gallery" && !opts.Own && !opts.Part:
		return console.Usagef("%s takes features from one place, not from --query and from %s", name, s.form)
	case len(s.Models) > 0 && s.form != "--data" && len(s.images) == 0:
		return console.Usagef("%s takes features from one place, not from %s and from %s", name, s.form, strings.Join(s.Models, " "))
	}
	for flag, of := range map[string]bool{"gallery-labels": s.form == "--gallery", "query-labels": s.npy != "", "fingerprint-from": s.form == "--gallery" || s.npy != ""} {
		if s.ctx.IsSet(flag) && !of {
			return console.Usagef("--%s is about a .npy file, and none is given", flag)
		}
	}
	if len(s.Models) > 0 {
		return checkExtractFlags(s.ctx)
	}
	for _, flag := range extractFlags() {
		if flag := flag.Names()[0]; s.ctx.IsSet(flag) && !slices.Contains([]string{"threads", "quiet"}, flag) && !(flag == "data" && opts.Images) {
			return console.Usagef("--%s is about making features with ONNX files, and these are made", flag)
		}
	}
	return console.CheckThreads(s.ctx)
}

// Alone reports whether queries of your own are all that there is.
func (s *Source) Alone() bool { return s.form == "--query" }

// Own reports whether the queries are images of the user.
func (s *Source) Own() bool { return len(s.images) > 0 }

// Inputs are the files that are read.
func (s *Source) Inputs() []string {
	ctx := s.ctx
	out := []string{ctx.String("data"), ctx.String("gallery"), ctx.String("gallery-labels"), s.npy, ctx.String("query-labels"), besideNPY(ctx.String("gallery")), besideNPY(s.npy)}
	if dir := ctx.String("features"); dir != "" {
		out = append(out, filepath.Join(dir, features.ManifestFile))
		for _, part := range features.Parts() {
			out = append(out, filepath.Join(dir, part+".csv"), filepath.Join(dir, part+".npy"))
		}
	}
	return append(out, s.images...)
}

func besideNPY(npy string) string { return strings.TrimSuffix(npy, filepath.Ext(npy)) + ".csv" }

// Opened is a source whose models are open.
type Opened struct {
	features.Source
	embedder *embedder.Embedder
}

// Open opens models and lists images. Close it after loading.
func (s *Source) Open() (o *Opened, err error) {
	ctx := s.ctx
	o = new(Opened)
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	queries := &features.Source{}
	if s.npy != "" {
		queries = &features.Source{Files: map[string]features.File{features.Query: {NPY: s.npy, CSV: ctx.String("query-labels")}}, RecipeFrom: ctx.String("fingerprint-from")}
	}
	if len(s.Models) > 0 {
		// What is listed is told before the work of opening models.
		if s.form == "--data" {
			if o.Images, err = openImages(ctx); err != nil {
				return o, err
			}
		}
		var own []string
		if len(s.images) > 0 {
			if own, err = inference.FindImages(s.images); err != nil {
				return o, err
			}
		}
		if o.embedder, err = OpenEmbedder(ctx, s.Models); err != nil {
			return o, err
		}
		if o.Images != nil {
			o.Embedder, o.Extract = o.embedder, extractOptions(ctx)
		}
		if len(own) > 0 {
			pattern, err := s.pattern(o)
			if err != nil {
				return o, err
			}
			strict := extractOptions(ctx)
			strict.Strict, strict.Pooling = true, ""
			queries = &features.Source{Images: features.ImageFiles(own, pattern), Embedder: o.embedder, Extract: strict}
		}
	}
	switch s.form {
	case "--features":
		o.Folder = ctx.String("features")
	case "--gallery":
		o.Files = map[string]features.File{features.Gallery: {NPY: ctx.String("gallery"), CSV: ctx.String("gallery-labels")}}
		o.RecipeFrom = ctx.String("fingerprint-from")
	case "--query":
		o.Source = *queries
		return o, nil
	}
	if queries.Files != nil || queries.Images != nil {
		o.Queries = queries
	}
	return o, nil
}

// pattern is that of the names of images of your own: as that of the data.
func (s *Source) pattern(o *Opened) (*identities.Pattern, error) {
	text := s.ctx.String("pattern")
	if text == "" && o.Images != nil {
		text = o.Images.Data.Pattern
	}
	if text == "" && s.form == "--features" {
		m, err := features.ReadManifest(s.ctx.String("features"))
		if err != nil {
			return nil, err
		}
		text = m.Data.Pattern
	}
	if text == "" {
		return nil, nil
	}
	p, err := identities.ParsePattern(text)
	if err != nil {
		return nil, console.Usagef("--pattern: %w", err)
	}
	return p, nil
}

// Fingerprint is that of the features that models make.
func (o *Opened) Fingerprint() string { return o.embedder.Fingerprint() }

// Close frees the models.
func (o *Opened) Close() error {
	if o.embedder == nil {
		return nil
	}
	return o.embedder.Close()
}

// mapFrom is from how many bytes on files are mapped into memory.
const mapFrom = 1 << 30

// Load loads features, shows how their making goes on, and tells what was left
// out.
func (o *Opened) Load(c *console.Console, ctx *cli.Context, opts features.LoadOptions) (*features.Set, error) {
	opts.MapFrom = mapFrom
	show, progress := progressOf(c, ctx)
	o.Extract.Progress = progress
	s, err := features.Load(ctx.Context, o.Source, opts)
	show.Finish()
	if errors.Is(err, fs.ErrNotExist) && o.Folder != "" {
		if _, statErr := os.Stat(filepath.Join(o.Folder, features.ManifestFile)); statErr != nil {
			err = fmt.Errorf("%w; make it with dml reid extract", err)
		}
	}
	if err != nil {
		return nil, err
	}
	if o.Images != nil {
		saySkipped(c, s.Skipped)
	}
	return s, nil
}

// Load is Open and its Load.
func (s *Source) Load(c *console.Console, opts features.LoadOptions) (set *features.Set, err error) {
	o, err := s.Open()
	if err != nil {
		return nil, err
	}
	set, err = o.Load(c, s.ctx, opts)
	if err := errors.Join(err, o.Close()); err != nil {
		return nil, err
	}
	if set.Data.Undivided && set.Query == set.Gallery && opts.Labelled {
		c.Say("note: nothing in %s says which images are queries: every image is one, for the other cameras' images", set.Data.Path)
	}
	return set, nil
}

// openImages lists the images of --data.
func openImages(ctx *cli.Context) (*features.Images, error) {
	var opts features.ImagesOptions
	var err error
	if text := ctx.String("pattern"); text != "" {
		if opts.Pattern, err = identities.ParsePattern(text); err != nil {
			return nil, console.Usagef("--pattern: %w", err)
		}
	}
	images, err := features.OpenImages(ctx.String("data"), opts)
	if errors.Is(err, identities.ErrName) && opts.Pattern == nil {
		err = fmt.Errorf("%w with --pattern, or list the images in a .csv file with the columns path,pid,camid, of which the last two may be empty", err)
	}
	return images, err
}

// progressOf shows how many images are done.
func progressOf(c *console.Console, ctx *cli.Context) (show interface{ Finish() }, progress func(done, total int)) {
	counter := console.NewCounter(c.Stderr, ctx.Bool("quiet"), "features", "images")
	begun := false
	return counter, func(done, total int) {
		if !begun && done > 0 && done < total {
			counter.Resume(done, total)
		}
		begun = true
		counter.Set(done, total)
	}
}

// embedFiles makes the features of image files, by open models.
func embedFiles(ctx context.Context, e *embedder.Embedder, paths []string) (reid.Set, error) {
	set, err := features.Load(ctx, features.Source{Images: features.ImageFiles(paths, nil), Embedder: e,
		Extract: features.ExtractOptions{Strict: true, Unusable: inference.IsUnreadable}}, features.LoadOptions{Parts: []string{features.Query}})
	if err != nil {
		return reid.Set{}, err
	}
	return set.Query.Set, nil
}

// keepInputs refuses an output that is one of the files that are read. Empty
// paths are none.
func keepInputs(output string, inputs ...string) error {
	out, err := os.Stat(output)
	if err != nil {
		return nil // there is no file yet to write over
	}
	for _, path := range inputs {
		if in, err := os.Stat(cmp.Or(path, "\x00")); err == nil && os.SameFile(in, out) {
			return fmt.Errorf("%s is an input, and would be written over: choose another file", output)
		}
	}
	return nil
}
