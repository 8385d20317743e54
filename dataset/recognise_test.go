package dataset_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/identities"
)

// files are pictures with these names.
func picturesOf(t *testing.T, names string) map[string][]byte {
	out := make(map[string][]byte)
	for _, name := range strings.Fields(names) {
		out[name] = picture(t)
	}
	return out
}

// TestLayouts: what each layout is taken for, where it is, and what is left aside;
// and what is refused.
func TestLayouts(t *testing.T) {
	images, labels := idx(t, 4)
	digits := func(dir string) map[string][]byte {
		return map[string][]byte{dir + "train-images-idx3-ubyte": images, dir + "train-labels-idx1-ubyte": labels}
	}
	with := func(a map[string][]byte, b map[string][]byte) map[string][]byte {
		maps.Copy(a, b)
		return a
	}
	market := "bounding_box_train/0002_c1s1_000451_03.jpg query/0001_c1s1_000001_00.jpg bounding_box_test/0001_c2s1_000001_00.jpg"
	for name, tt := range map[string]struct {
		files            map[string][]byte
		opts             dataset.Options
		line             string // of the report, FOLDER standing for the folder
		train, val, test int
		err              error
		says             string
	}{
		"train and dev":         {files: picturesOf(t, "train/a/1.png train/b/1.png dev/a/1.png dev/b/1.png"), line: "imagefolder in FOLDER", train: 2, val: 2},
		"Train and Test":        {files: picturesOf(t, "Train/a/1.png Train/b/1.png Test/a/1.png Test/b/1.png"), line: "imagefolder in FOLDER", train: 2, test: 2},
		"training and testing":  {files: picturesOf(t, "training/a/1.png training/b/1.png testing/b/1.png testing/a/1.png"), line: "imagefolder in FOLDER", train: 2, test: 2},
		"other folders":         {files: picturesOf(t, "train/a/1.png train/b/1.png extra/a/1.png holdout/b/1.png"), line: "imagefolder in FOLDER; left aside: extra, holdout", train: 2},
		"other files":           {files: with(picturesOf(t, "a/1.png b/1.png"), map[string][]byte{"a/x.heic": nil, "b/x.heic": nil, "b/notes.txt": nil}), line: "imagefolder in FOLDER; skipped, not images: 2 .heic, 1 .txt", train: 2},
		"market":                {files: picturesOf(t, market), line: "market1501 in FOLDER; left aside: query, bounding_box_test, ", train: 1},
		"veri":                  {files: picturesOf(t, "image_train/0001_c001_00016450_0.jpg image_query/0002_c002_00030600_0.jpg image_test/0003_c002_00030600_0.jpg"), line: "market1501 in FOLDER; left aside: image_query, image_test", train: 1},
		"veri by a pattern":     {files: picturesOf(t, "image_train/0001_c001_00016450_0.jpg image_query/0002_c002_00030600_0.jpg image_test/0003_c002_00030600_0.jpg"), opts: dataset.Options{Pattern: "veri"}, line: "market1501 in FOLDER; left aside: image_query, image_test", train: 1},
		"dukemtmc":              {files: picturesOf(t, "bounding_box_train/0001_c2_f0046182.jpg"), line: "market1501 in FOLDER", train: 1},
		"no part to train on":   {files: picturesOf(t, "query/0001_c1s1_000001_00.jpg bounding_box_test/0001_c2s1_000001_00.jpg"), err: identities.ErrPart, says: "bounding_box_train"},
		"above market":          {files: picturesOf(t, "set/"+strings.ReplaceAll(market, " ", " set/")+" other/readme.png"), err: dataset.ErrAmbiguous, says: "other (imagefolder)"},
		"above market alone":    {files: picturesOf(t, "set/"+strings.ReplaceAll(market, " ", " set/")), line: "market1501 in FOLDER/set; left aside: query, bounding_box_test, ", train: 1},
		"CUHK03, two sets":      {files: picturesOf(t, "detected/bounding_box_train/0001_c1_1.png labeled/bounding_box_train/0001_c1_1.png"), err: dataset.ErrAmbiguous, says: "detected (market1501), labeled (market1501)"},
		"MSMT17 without lists":  {files: picturesOf(t, "train/0000/0000_000_01_0303morning_0008_0.jpg test/0000/0000_000_01_0303morning_0017_0.jpg"), err: dataset.ErrAmbiguous, says: "list_train.txt"},
		"FashionMNIST's root":   {files: digits("FashionMNIST/raw/"), line: "mnist in FOLDER/FashionMNIST/raw", train: 4},
		"two below":             {files: with(digits("FashionMNIST/raw/"), digits("MNIST/raw/")), err: dataset.ErrAmbiguous, says: "FashionMNIST/raw (mnist), MNIST/raw (mnist)"},
		"two here":              {files: with(digits(""), map[string][]byte{"train.bin": records(1, 2)}), err: dataset.ErrAmbiguous, says: "[mnist cifar100]"},
		"two here, one wanted":  {files: with(digits(""), map[string][]byte{"train.bin": records(1, 2)}), opts: dataset.Options{Kind: dataset.MNIST}, line: "mnist in FOLDER", train: 4},
		"a split folder below":  {files: picturesOf(t, "data/train/a/1.png data/train/b/1.png"), line: "imagefolder in FOLDER/data", train: 2},
		"CIFAR for Python":      {files: map[string][]byte{"cifar-10-batches-py/data_batch_1": nil, "cifar-10-batches-py/test_batch": nil}, err: dataset.ErrUnknown, says: "binary version"},
		"CIFAR-100 for Python":  {files: map[string][]byte{"cifar-100-python/train": nil, "cifar-100-python/meta": nil}, err: dataset.ErrUnknown, says: "binary version"},
		"CIFAR for Python here": {files: map[string][]byte{"data_batch_1": nil, "batches.meta": nil}, err: dataset.ErrUnknown, says: "binary version"},
		"classes":               {files: picturesOf(t, "a/0002_c1s1_000451_03.jpg b/0003_c1s1_000451_03.jpg"), line: "imagefolder in FOLDER", train: 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, tt.files)
			s, err := dataset.Open(dir, tt.opts)
			if tt.err != nil {
				if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir) {
					t.Errorf("error %v, want %v that says %q", err, tt.err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := s.Report.String(), strings.TrimSuffix(strings.ReplaceAll(filepath.FromSlash(tt.line), "FOLDER", dir), ", "); got != want {
				t.Errorf("taken for %q, want %q", got, want)
			}
			size := func(ds dataset.Dataset) int {
				if ds == nil {
					return 0
				}
				return ds.Len()
			}
			if size(s.Train) != tt.train || size(s.Val) != tt.val || size(s.Test) != tt.test {
				t.Errorf("%d, %d, %d images; want %d, %d, %d", size(s.Train), size(s.Val), size(s.Test), tt.train, tt.val, tt.test)
			}
		})
	}
	if _, err := dataset.Recognise(filepath.Join(t.TempDir(), "none"), dataset.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
