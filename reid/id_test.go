package reid

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseID(t *testing.T) {
	for _, tc := range []struct {
		text     string
		id       ID
		json     string
		number   int
		isNumber bool
		person   bool
		identity bool // accepted as one
		camera   bool
	}{
		{"17", "17", "17", 17, true, true, true, true},
		{" 0017 ", "17", "17", 17, true, true, true, true},
		{"+5", "5", "5", 5, true, true, true, true},
		{"0", Distractor, "0", 0, true, false, true, true},
		{"0000", Distractor, "0", 0, true, false, true, true},
		{"-1", Junk, "-1", -1, true, false, true, false},
		{"-2", "-2", `"-2"`, 0, false, true, false, false},
		{"-99999999999", "-99999999999", `"-99999999999"`, 0, false, true, false, false},
		{"", Unknown, "null", 0, false, false, true, true},
		{"2147483647", "2147483647", "2147483647", 2147483647, true, true, true, true},
		{"2147483648", "2147483648", `"2147483648"`, 0, false, true, true, true},
		{"anna", "anna", `"anna"`, 0, false, true, true, true},
		{"12a", "12a", `"12a"`, 0, false, true, true, true},
		{"Zoë \"x\"", "Zoë \"x\"", `"Zoë \"x\""`, 0, false, true, true, true},
		{"-", "-", `"-"`, 0, false, true, false, false},
		{"a\nb", "a\nb", `"a\nb"`, 0, false, true, false, false},
		{strings.Repeat("x", LongestID+1), ID(strings.Repeat("x", LongestID+1)), "", 0, false, true, false, false},
	} {
		id, err := ParseID(tc.text)
		if id != tc.id || (err == nil) != tc.identity || err != nil && !errors.Is(err, ErrLabel) {
			t.Errorf("ParseID(%.20q) is %.20q, %v", tc.text, id, err)
		}
		if id, err := ParseCamera(tc.text); id != tc.id || (err == nil) != tc.camera {
			t.Errorf("ParseCamera(%.20q) is %.20q, %v", tc.text, id, err)
		}
		if n, ok := id.Number(); n != tc.number || ok != tc.isNumber {
			t.Errorf("%.20q: Number is %d, %v", id, n, ok)
		}
		if id.Person() != tc.person {
			t.Errorf("%.20q: Person is %v", id, id.Person())
		}
		if text, err := json.Marshal(id); err != nil || tc.json != "" && string(text) != tc.json {
			t.Errorf("%.20q: JSON %s, %v", id, text, err)
		} else if tc.identity {
			var back ID
			if err := json.Unmarshal(text, &back); err != nil || back != id {
				t.Errorf("%s is read as %q, %v", text, back, err)
			}
		}
	}
	for _, bad := range []ID{"007", "-0", "+5", " 7", "a "} {
		if err := (Label{PID: bad, Camera: "1"}).check(true); !errors.Is(err, ErrLabel) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"1.5", "1e3", "true", "{}", "-2", "2147483648", `"a\nb"`} {
		var id ID
		if err := json.Unmarshal([]byte(bad), &id); err == nil {
			t.Errorf("%s is read as %q", bad, id)
		}
	}
}

func TestIDOrder(t *testing.T) {
	want := []ID{Junk, "0", "2", "10", Unknown, "anna", "door-10", "door-2"}
	got := []ID{"anna", "10", "door-2", Junk, Unknown, "2", "door-10", "0"}
	if slices.SortFunc(got, ID.Compare); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestTexts: an evaluation is the same whatever people and cameras are called.
func TestTexts(t *testing.T) {
	distances := []float32{.1, .2, .3, .4, .5, .15, .25, .35, .05, .45}
	query := []Label{{"1", "1"}, {"2", "3"}}
	gallery := []Label{{"2", "1"}, {"1", "2"}, {"1", "1"}, {Junk, "2"}, {"2", "3"}}
	want, err := EvaluateDistances(t.Context(), distances, query, gallery, Options{Best: 5})
	if err != nil {
		t.Fatal(err)
	}
	named := func(labels []Label) []Label {
		out := slices.Clone(labels)
		for i := range out {
			out[i].PID = map[ID]ID{"1": "anna", "2": "person 7", Junk: Junk}[out[i].PID]
			out[i].Camera = map[ID]ID{"1": "door-2", "2": "yard", "3": "zoo"}[out[i].Camera]
		}
		return out
	}
	got, err := EvaluateDistances(t.Context(), distances, named(query), named(gallery), Options{Best: 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Cameras) == 0 || got.Cameras[0].Query != "door-2" {
		t.Errorf("%+v", got.Cameras)
	}
	for i := range got.Cameras {
		got.Cameras[i].Query, got.Cameras[i].Gallery = want.Cameras[i].Query, want.Cameras[i].Gallery
	}
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got)
	if string(a) != string(b) {
		t.Errorf("%s, with texts %s", a, b)
	}
}
