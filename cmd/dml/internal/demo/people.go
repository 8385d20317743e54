package demo

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/cmd/dml/internal/pages"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/dataset/walkers"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/train"
)

// People is what the demonstration of re-identification found: how well
// features find people whom no student was trained on.
type People struct {
	Data            string // folder of the drawn images
	Images          walkers.Counts
	Identities      int // trained on
	TrainImages     int // of them, those to validate on not counted
	Queries, Others int // of the test, and the images searched for them
	// Rows are the images' pixels, the students, and last the cohort, whose
	// features are the students' side by side.
	Rows  []PeopleRow
	Files []string // ONNX files, a student each
	// Ranking is the page that shows what the cohort found.
	Ranking string
}

// PeopleRow is the scores of one kind of features.
type PeopleRow struct {
	Name, Arch string
	Parameters int // 0 for pixels, and for the cohort
	reid.Scores
}

// seekers are the students that learn to tell people apart.
var seekers = []train.Student{{Name: "student-1", Arch: "resnet8"}, {Name: "student-2", Arch: "resnet8"}}

// PeopleEpochs is how long RunPeople trains by default. Small pictures make
// that short: in the same time, more epochs of these students found more than
// larger pictures, or larger networks.
const PeopleEpochs = 24

const (
	inputHeight, inputWidth = 32, 16
	shownQueries, shown     = 30, 10 // on the page, and results of each
)

// RunPeople draws pedestrians, trains students on them by mutual learning, exports
// these and lets them find other people. Options' Epochs, by default
// PeopleEpochs, and Limit are of this training. A cancelled context ends it
// with an error.
func RunPeople(ctx context.Context, opts Options) (People, error) {
	opts.Epochs = cmp.Or(opts.Epochs, PeopleEpochs)
	opts = opts.withDefaults()
	set, err := walkers.New(walkers.Options{Seed: opts.Seed, TrainIdentities: 60, TestIdentities: 20, Distractors: 0.2, Junk: 0.1})
	if err != nil {
		return People{}, err
	}
	result := People{Data: filepath.Join(opts.Out, "walkers"), Images: set.Counts(), Identities: set.Options().TrainIdentities}
	opts.Stage("drawing pedestrians who walk past cameras", nil)
	if err := drawn(ctx, set, result.Data); err != nil {
		return People{}, err
	}
	splits, err := peopleToLearn(result.Data, opts)
	if err != nil {
		return People{}, err
	}
	result.TrainImages = splits.Train.Len()
	cfg := train.Config{Mode: train.ModeDML, Students: seekers, Epochs: opts.Epochs, Seed: opts.Seed, Batch: 32,
		Height: inputHeight, Width: inputWidth, Augment: dataset.Augment{Flip: true, PadCrop: 2}}.WithDefaults()
	files, err := fit(ctx, cfg, splits, "training two students to tell people apart, by deep mutual learning", "people-", opts)
	if err != nil {
		return People{}, err
	}
	result.Files = files.paths
	opts.Stage("looking for other people", nil)
	err = result.find(ctx, files, filepath.Join(opts.Out, "ranking.html"))
	return result, err
}

// find looks for the people of the test by all kinds of features, and writes
// the page of the last, the cohort's.
func (p *People) find(ctx context.Context, files exported, page string) error {
	query, err := readPeople(p.Data, identities.Query)
	if err != nil {
		return err
	}
	gallery, err := readPeople(p.Data, identities.Gallery)
	if err != nil {
		return err
	}
	p.Queries, p.Others = len(query.images), len(gallery.images)
	evaluate := func(row PeopleRow, e reid.Embedder) error {
		q, err := query.embed(ctx, e)
		if err != nil {
			return err
		}
		g, err := gallery.embed(ctx, e)
		if err != nil {
			return err
		}
		r, err := reid.Evaluate(ctx, q, g, reid.Options{Best: shown, BestSameCamera: true})
		if err != nil {
			return err
		}
		row.Scores = r.Scores
		p.Rows = append(p.Rows, row)
		return nil
	}
	if err := evaluate(PeopleRow{Name: "pixels"}, pixels{}); err != nil {
		return err
	}
	for i, path := range files.paths {
		row := PeopleRow{Name: files.names[i], Arch: seekers[i].Arch, Parameters: files.parameters[i]}
		if err := withModel([]string{path}, func(c *infer.Model) error { return evaluate(row, c) }); err != nil {
			return err
		}
	}
	if err := withModel(files.paths, func(c *infer.Model) error { return evaluate(PeopleRow{Name: "both"}, c) }); err != nil {
		return err
	}
	found, _, err := pages.Build(p.Rows[len(p.Rows)-1].Scores, query.items, gallery.items, pages.BuildOptions{
		Title: "People found by two students together", Order: pages.Worst, Limit: shownQueries,
		Remarks: []string{"Synthetic pedestrians, whom the students were not trained on; cosine distances of their features."}})
	if err != nil {
		return err
	}
	p.Ranking = page
	return pages.SaveRanking(ctx, page, found)
}

// drawn draws the set into dir, unless it is there from another time.
func drawn(ctx context.Context, set *walkers.Set, dir string) error {
	if held, err := set.Holds(dir); held || err != nil {
		return err
	}
	return set.Write(ctx, dir, walkers.WriteOptions{})
}

// peopleToLearn reads the training part of the set in dir.
func peopleToLearn(dir string, opts Options) (dataset.Splits, error) {
	splits, err := dataset.Open(dir, dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		return dataset.Splits{}, err
	}
	if opts.Limit > 0 && opts.Limit < splits.Train.Len() {
		if splits.Train, err = dataset.Limit(splits.Train, opts.Limit, opts.Seed); err != nil {
			return dataset.Splits{}, err
		}
	}
	return splits.CarveVal(validation, opts.Seed)
}

// gathered is the images of a part in memory.
type gathered struct {
	name   string
	images []image.Image
	items  []pages.Item
}

func readPeople(dir string, part identities.Part) (gathered, error) {
	list, err := identities.List(os.DirFS(dir), part, identities.Options{Root: dir})
	if err != nil {
		return gathered{}, err
	}
	g := gathered{name: string(part)}
	for _, m := range list.Images {
		path := filepath.Join(dir, filepath.FromSlash(m.File))
		img, err := decode(path)
		if err != nil {
			return gathered{}, err
		}
		item := pages.Item{Image: pages.File(path), Label: reid.Label{PID: reid.Number(m.PID), Camera: reid.Number(m.Camera)}}
		item.Note = fmt.Sprintf("identity %d, camera %d", m.PID, m.Camera)
		g.images, g.items = append(g.images, img), append(g.items, item)
	}
	return g, nil
}

func decode(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	img, err := jpeg.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return img, nil
}

// embed makes features of the images.
func (g gathered) embed(ctx context.Context, e reid.Embedder) (reid.Set, error) {
	const batch = 64
	set := reid.Set{Name: g.name}
	for from := 0; from < len(g.images); from += batch {
		rows, err := e.EmbedImages(ctx, g.images[from:min(from+batch, len(g.images))]...)
		if err != nil {
			return reid.Set{}, err
		}
		for i, row := range rows {
			set.Dim = len(row)
			set.Features = append(set.Features, row...)
			set.Labels = append(set.Labels, g.items[from+i].Label)
		}
	}
	return set, nil
}

func withModel(paths []string, do func(*infer.Model) error) error {
	m, err := infer.Open(infer.Options{}, paths...)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// pixels are what to be better than: the mean colours of an image's blocks,
// apart from the image's mean and of length 1.
type pixels struct{}

// EmbedImages implements reid.Embedder.
func (pixels) EmbedImages(_ context.Context, images ...image.Image) ([][]float32, error) {
	const across, down = 8, 16
	var out [][]float32
	for _, img := range images {
		b := img.Bounds()
		row := make([]float32, 3*across*down)
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				red, green, blue, _ := img.At(x, y).RGBA()
				at := 3 * ((y-b.Min.Y)*down/b.Dy()*across + (x-b.Min.X)*across/b.Dx())
				row[at] += float32(red)
				row[at+1] += float32(green)
				row[at+2] += float32(blue)
			}
		}
		var mean [3]float32
		for i, v := range row {
			mean[i%3] += v / (across * down)
		}
		length := 0.0
		for i := range row {
			row[i] -= mean[i%3]
			length += float64(row[i]) * float64(row[i])
		}
		for i := range row {
			row[i] /= float32(math.Sqrt(length) + 1e-12)
		}
		out = append(out, row)
	}
	return out, nil
}
