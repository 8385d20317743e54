package dataset_test

import (
	"errors"
	"image"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
)

func TestMatchClasses(t *testing.T) {
	words := func(s string) []string { return strings.Fields(s) }
	for name, tt := range map[string]struct {
		own, classes string
		want         []int // labels of one image of each own class; nil where it is refused
	}{
		"the same":               {"blue red", "blue red", []int{0, 1}},
		"another order":          {"red blue", "blue red", []int{1, 0}},
		"text and number order":  {"0 1 10 11 2 3 4 5 6 7 8 9", "0 1 2 3 4 5 6 7 8 9 10 11", []int{0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9}},
		"number and text order":  {"0 1 2 3 4 5 6 7 8 9 10 11", "0 1 10 11 2 3 4 5 6 7 8 9", []int{0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3}},
		"data without names":     {"0 1 2", "cat dog owl", []int{0, 1, 2}},
		"a model without names":  {"cat dog owl", "0 1 2", []int{0, 1, 2}},
		"other numbers":          {"0 1", "1 2", nil},
		"some are numbers":       {"0 1 2", "cat dog 7", nil},
		"indices of another set": {"1 2", "0 1", nil},
		"one other":              {"cat cow", "cat dog", nil},
		"one more":               {"cat dog owl", "cat dog", nil},
		"twice in the model":     {"cat dog", "cat cat", nil},
		"twice in the data":      {"cat cat", "cat dog", nil},
		"two digits":             {"00 01", "0 1", nil},
	} {
		own, classes := words(tt.own), words(tt.classes)
		var images []image.Image
		var labels []int
		for i := range own {
			images, labels = append(images, image.NewGray(image.Rect(0, 0, 2, 2))), append(labels, i)
		}
		ds, err := dataset.FromImages(images, labels, own, dataset.Shape{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := dataset.MatchClasses(ds, classes)
		if tt.want == nil {
			if !errors.Is(err, dataset.ErrClasses) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		labels = labels[:0]
		for i := range got.Len() {
			labels = append(labels, got.Label(i))
		}
		if !slices.Equal(labels, tt.want) {
			t.Errorf("%s: labels %v, want %v", name, labels, tt.want)
		}
	}
}
