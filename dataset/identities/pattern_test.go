package identities_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset/identities"
)

func pattern(t testing.TB, text string) *identities.Pattern {
	t.Helper()
	p, err := identities.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	const no = identities.None
	type name = identities.Name
	own := `^(?P<camera>\d+)-(?P<pid>-?\d+)(?:-(?P<frame>\d+))?`
	for _, tt := range []struct {
		pattern, file string
		want          name
	}{
		{"market1501", "0002_c1s1_000451_03.jpg", name{2, 1, 1, 451, 3}},
		{"market1501", "a/b/1501_c6s4_001877_00.jpg.jpg", name{1501, 6, 4, 1877, 0}},
		{"market1501", "-1_c3s2_038928_00.jpg", name{identities.Junk, 3, 2, 38928, 0}},
		{"market1501", "0000_c1s1_000151_01.jpg", name{identities.Distractor, 1, 1, 151, 1}},
		{"msmt17", "0000/0003_019_05_0303morning_0040_0.jpg", name{3, 5, 303, 40, 0}},
		{"msmt17", "0000_000_14_0114afternoon_0245_2_ex.jpg", name{0, 14, 114, 245, 2}},
		{"msmt17", "0000_000_14_0114noon_0245_2.jpg", name{0, 14, 114, 245, 2}},
		{"cuhk03-np", "0001_c1_21.png", name{1, 1, no, no, 21}},
		{"pku-reid", "085_02_8.png", name{85, 2, no, 8, no}},
		{own, "3-12-7.png", name{12, 3, no, 7, no}},
		{own, "3--1.png", name{identities.Junk, 3, no, no, no}},
	} {
		p := pattern(t, tt.pattern)
		if got, err := p.Parse(tt.file); err != nil || got != tt.want {
			t.Errorf("%s: %s is %+v, error %v; want %+v", tt.pattern, tt.file, got, err, tt.want)
		}
		if tt.pattern != own {
			if r := identities.Recognise(tt.file); r == nil || r.String() != tt.pattern {
				t.Errorf("%s was recognised as %v, want %s", tt.file, r, tt.pattern)
			}
		}
	}
	for pattern_, files := range map[string][]string{
		"market1501": {"", "0002_c1s1_000451.jpg", "x0002_c1s1_000451_03.jpg", "-2_c1s1_000451_03.jpg", "0002_c1s1_000451_03", "99999999999999999999_c1s1_1_1.jpg", "2147483648_c1s1_1_1.jpg",
			"0002_c99999999999999999999s1_1_1.jpg", "001_01_1.png"},
		"msmt17":                        {"0003_019_05_0303evening_0040_0.jpg", "-1_019_05_0303noon_0040_0.jpg"},
		"cuhk03-np":                     {"0001_1_1.png", "0001_c1s1_000451_03.jpg"},
		"pku-reid":                      {"001_c1_1.png", "001_01_1_1.png"},
		own:                             {"3-.png", "3--2.png"},
		`(?P<pid>\d+)?_(?P<camera>\d+)`: {"_1.png"},
		`(?P<pid>.*)_(?P<camera>.*)`:    {"1_-1", "a_1", "1_1 ", "+_1", "_"},
	} {
		for _, file := range files {
			if got, err := pattern(t, pattern_).Parse(file); !errors.Is(err, identities.ErrName) {
				t.Errorf("%s: %q gave %+v, error %v", pattern_, file, got, err)
			}
		}
	}
}

// TestDistractor: only Market-1501's identity 0 is nobody.
func TestDistractor(t *testing.T) {
	for _, name := range append(identities.Patterns(), `(?P<pid>\d)(?P<camera>\d)`) {
		if got := pattern(t, name).Distractor(identities.Name{PID: 0}); got != (name == "market1501") {
			t.Errorf("%s: identity 0 is a distractor: %v", name, got)
		}
		if pattern(t, name).Distractor(identities.Name{PID: 1}) {
			t.Errorf("%s: identity 1 is a distractor", name)
		}
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"market":                          "(?P<pid>...)",
		"":                                "market1501, msmt17, cuhk03-np, veri, dukemtmc, pku-reid",
		"(":                               "missing closing",
		`(?P<pid>\d)`:                     "(?P<camera>...)",
		`(?P<pid>.)(?P<camera>.)(?P<x>.)`: `"x" is none of`,
		`(?P<pid>.)|(?P<pid>.)(?P<box>.)`: "two groups are called pid",
	} {
		_, err := identities.ParsePattern(text)
		if !errors.Is(err, identities.ErrPattern) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want one that says %s", text, err, says)
		}
	}
}

// FuzzParse: what a pattern reads has a meaning, and written again in the
// format of Market-1501 and of MSMT17 it is the same.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"0002_c1s1_000451_03.jpg", "-1_c3s2_038928_00.jpg", "0003_019_05_0303morning_0040_0.jpg", "0001_c1_21.png", "001_01_1.png", "_c", "."} {
		f.Add(name)
	}
	var patterns []*identities.Pattern
	for _, name := range identities.Patterns() {
		patterns = append(patterns, pattern(f, name))
	}
	f.Fuzz(func(t *testing.T, file string) {
		for _, p := range patterns {
			n, err := p.Parse(file)
			if err != nil {
				if n != (identities.Name{}) || !errors.Is(err, identities.ErrName) {
					t.Fatalf("%s: %q gave %+v with the error %v", p, file, n, err)
				}
				continue
			}
			if n.PID < identities.Junk || n.Camera < 0 || n.Sequence < identities.None || n.Frame < identities.None || n.Box < identities.None {
				t.Fatalf("%s: %q gave %+v", p, file, n)
			}
			again := ""
			switch p.String() {
			case "market1501":
				again = fmt.Sprintf("%04d_c%ds%d_%06d_%02d.jpg", n.PID, n.Camera, n.Sequence, n.Frame, n.Box)
				if n.PID == identities.Junk {
					again = "-1" + strings.TrimPrefix(again, "-001")
				}
			case "msmt17":
				again = fmt.Sprintf("%04d_000_%02d_%04dnoon_%04d_%d.jpg", n.PID, n.Camera, n.Sequence, n.Frame, n.Box)
			default:
				continue
			}
			if m, err := p.Parse(again); err != nil || m != n {
				t.Fatalf("%s: %q gave %+v, written as %q %+v, error %v", p, file, n, again, m, err)
			}
		}
	})
}

// FuzzPattern: no expression makes reading names fail otherwise than by an
// error.
func FuzzPattern(f *testing.F) {
	f.Add(`^(?P<pid>-1|\d+)_c(?P<camera>\d+)`, "12_c3.jpg")
	f.Add(`(?P<pid>)(?P<camera>)`, "")
	f.Add(`(?P<camera>\d*)?(?P<pid>.)*`, "a1")
	f.Add("market1501", "x")
	f.Fuzz(func(t *testing.T, text, file string) {
		p, err := identities.ParsePattern(text)
		if err != nil {
			if !errors.Is(err, identities.ErrPattern) {
				t.Fatal(err)
			}
			return
		}
		n, err := p.Parse(file)
		if (err != nil) != errors.Is(err, identities.ErrName) || err == nil && (n.PID < identities.Junk || n.Camera < 0) {
			t.Fatalf("%+v, error %v", n, err)
		}
	})
}
