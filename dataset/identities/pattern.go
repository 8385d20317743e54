package identities

import (
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Name is what the name of a re-identification image says. A field that the
// name says nothing of is None.
type Name struct {
	// PID is the person's identity; Junk for what is not a usable image of one.
	PID int
	// Camera that took the image.
	Camera int
	// Sequence of that camera. MSMT17: the month and day, as 303.
	Sequence int
	// Frame of the sequence. PKU-Reid: the orientation, 1 to 8.
	Frame int
	// Box of the frame's people, or the image's number where that is all the
	// name says.
	Box int
}

const (
	// Junk is the PID of images that take no part in an evaluation.
	Junk = -1
	// Distractor is the PID of Market-1501's images of no known person, which
	// match no query. Whether a data set has them, Pattern.Distractor says.
	Distractor = 0
	// None is the value of a field that a name says nothing of; not of PID.
	None = -1
)

// Pattern says how to read a Name from a file name. It is safe for concurrent
// use.
type Pattern struct {
	text        string
	re          *regexp.Regexp
	group       [5]int // of the fields of Name; 0 for one that is missing
	distractors bool
}

// fields are the groups of a pattern, in the order of Name.
var fields = [5]string{"pid", "camera", "sequence", "frame", "box"}

// known are the names of patterns that are given, with their expressions. Each
// ends at the name's first dot: some copies of Market-1501 hold names like
// 0002_c1s1_000451_03.jpg.jpg.
var known = [...]struct{ name, expression string }{
	// 0002_c1s1_000451_03.jpg; -1_c1s1_... is junk, 0000_c1s1_... a distractor.
	{"market1501", `^(?P<pid>-1|[0-9]+)_c(?P<camera>[0-9]+)s(?P<sequence>[0-9]+)_(?P<frame>[0-9]+)_(?P<box>[0-9]+)\.`},
	// 0003_019_05_0303morning_0040_0.jpg, some with _ex at the end: identity,
	// number, camera, day, time of day, frame, box. 0000 is a person.
	{"msmt17", `^(?P<pid>[0-9]+)_[0-9]+_(?P<camera>[0-9]+)_(?P<sequence>[0-9]+)(?:morning|noon|afternoon)_(?P<frame>[0-9]+)_(?P<box>[0-9]+)(?:_ex)?\.`},
	// 0001_c1_1.png
	{"cuhk03-np", `^(?P<pid>-1|[0-9]+)_c(?P<camera>[0-9]+)_(?P<box>[0-9]+)\.`},
	// 0001_c001_00016450_0.jpg: identity, camera, frame, number of the box.
	{"veri", `^(?P<pid>[0-9]+)_c(?P<camera>[0-9]+)_(?P<frame>[0-9]+)_(?P<box>[0-9]+)\.`},
	// 0001_c2_f0046182.jpg
	{"dukemtmc", `^(?P<pid>[0-9]+)_c(?P<camera>[0-9]+)_f(?P<frame>[0-9]+)\.`},
	// 001_01_1.png: identity, camera, orientation.
	{"pku-reid", `^(?P<pid>[0-9]+)_(?P<camera>[0-9]+)_(?P<frame>[0-9]+)\.`},
}

// Patterns lists the names that ParsePattern knows.
func Patterns() []string {
	var names []string
	for _, k := range known {
		names = append(names, k.name)
	}
	return names
}

// What can be wrong; test with errors.Is.
var (
	ErrPattern = errors.New("bad name pattern")
	ErrName    = errors.New("file name does not fit the pattern")
)

// ParsePattern returns the pattern of the given name, one of Patterns, or else
// the regular expression (of Go's syntax) that text is. It must have groups
// called pid and camera, may have sequence, frame and box, and is matched
// against a file's name without its folders. The error wraps ErrPattern.
func ParsePattern(text string) (*Pattern, error) {
	for _, k := range known {
		if k.name == text {
			return compile(k.name, k.expression, k.name == "market1501")
		}
	}
	return compile(text, text, false)
}

func compile(text, expression string, distractors bool) (*Pattern, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w; give one of %s, or a regular expression", ErrPattern, text, err, strings.Join(Patterns(), ", "))
	}
	p := &Pattern{text: text, re: re, distractors: distractors}
	for at, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		f := slices.Index(fields[:], name)
		if f < 0 {
			return nil, fmt.Errorf("%w %q: the group %q is none of %s", ErrPattern, text, name, strings.Join(fields[:], ", "))
		}
		if p.group[f] != 0 {
			return nil, fmt.Errorf("%w %q: two groups are called %s", ErrPattern, text, name)
		}
		p.group[f] = at
	}
	if p.group[0] == 0 || p.group[1] == 0 {
		return nil, fmt.Errorf("%w %q: it needs the groups (?P<pid>...) and (?P<camera>...), or is to be one of %s",
			ErrPattern, text, strings.Join(Patterns(), ", "))
	}
	return p, nil
}

// String is what ParsePattern was given.
func (p *Pattern) String() string { return p.text }

// Distractor reports whether n is of an image of no known person. Only
// Market-1501's own names tell: identity 0 of other sets is a person.
func (p *Pattern) Distractor(n Name) bool { return p.distractors && n.PID == Distractor }

// Parse reads the name of a file, whose folders are left aside. The error
// wraps ErrName.
func (p *Pattern) Parse(file string) (Name, error) {
	base := path.Base(file)
	at := p.re.FindStringSubmatchIndex(base)
	if at == nil {
		return Name{}, fmt.Errorf("%w %s", ErrName, p)
	}
	var values [len(fields)]int
	for f, g := range p.group {
		values[f] = None
		if g == 0 || at[2*g] < 0 {
			if f < 2 {
				return Name{}, fmt.Errorf("%w %s: the group %s matches nothing", ErrName, p, fields[f])
			}
			continue
		}
		digits := base[at[2*g]:at[2*g+1]]
		v, err := strconv.Atoi(digits)
		if junk := f == 0 && v == Junk; err != nil || v < 0 && !junk || v > math.MaxInt32 {
			return Name{}, fmt.Errorf("%w %s: its %s is %q: want a number from 0 to %d, or -1 for the identity of junk", ErrName, p, fields[f], digits, math.MaxInt32)
		}
		values[f] = v
	}
	return Name{PID: values[0], Camera: values[1], Sequence: values[2], Frame: values[3], Box: values[4]}, nil
}

// Recognise returns the first of the given patterns that fits the name of a
// file, or nil.
func Recognise(file string) *Pattern {
	for _, k := range known {
		p, err := ParsePattern(k.name)
		if err != nil {
			continue // cannot be: a test parses them all
		}
		if _, err := p.Parse(file); err == nil {
			return p
		}
	}
	return nil
}
