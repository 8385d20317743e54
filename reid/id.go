package reid

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ID says which person an image shows, or which camera took it: a whole number
// in decimal, such as "17", or any other text, such as "anna" or "door-2". The
// zero value is Unknown. IDs are equal where their texts are; ParseID and
// ParseCamera bring numbers to the one form that they have here. In JSON a number
// is a number, a text a string, and Unknown null.
type ID string

const (
	// Unknown is the identity of images of which none is known, and the camera of
	// images likewise. They can be searched for and ranked, but not evaluated.
	Unknown ID = ""
	// Junk is the identity of images that take no part in an evaluation.
	Junk ID = "-1"
	// Distractor is the identity of images of no known person, wrong for every
	// query; but see Options.ZeroIsIdentity.
	Distractor ID = "0"
)

// LongestID bounds an ID, in bytes.
const LongestID = 256

// Number is the ID of a whole number.
func Number(n int) ID { return ID(strconv.Itoa(n)) }

// ParseID reads an identity: Junk, or a whole number from 0, also with zeros in
// front, or a text; an empty one is Unknown. Errors wrap ErrLabel.
func ParseID(text string) (ID, error) {
	id := parsed(text)
	return id, id.checkIdentity()
}

// ParseCamera is ParseID of a camera, of which none is Junk.
func ParseCamera(text string) (ID, error) {
	id := parsed(text)
	return id, id.checkCamera()
}

func parsed(text string) ID {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return Number(int(n))
	}
	return ID(text)
}

// Number returns the number that the ID is, if it is one from -1 to 2,147,483,647.
func (id ID) Number() (n int, ok bool) {
	if id == "" || len(id) > 10 || id[0] > '9' { // most texts
		return 0, false
	}
	if id[0] == '+' || id[0] == '0' && len(id) > 1 || id[0] == '-' && id != Junk {
		return 0, false // not the one form
	}
	v, err := strconv.ParseInt(string(id), 10, 32)
	if err != nil {
		return 0, false
	}
	return int(v), true
}

// Person reports whether the ID is that of a person: neither Unknown, Junk nor
// Distractor.
func (id ID) Person() bool { return id != Unknown && id != Junk && id != Distractor }

// Compare sorts numbers by their value, and before texts.
func (id ID) Compare(other ID) int {
	a, number := id.Number()
	b, too := other.Number()
	switch {
	case number && too:
		return cmp.Compare(a, b)
	case number:
		return -1
	case too:
		return 1
	}
	return strings.Compare(string(id), string(other))
}

func (id ID) checkIdentity() error {
	if id == Unknown || id == Junk {
		return nil
	}
	return id.check("identity", "use -1 for junk, 0 for distractors, a person's number, or a name")
}

func (id ID) checkCamera() error {
	if id == Unknown {
		return nil
	}
	return id.check("camera", "use a number from 0, or a name")
}

func (id ID) check(what, use string) error {
	if n, ok := id.Number(); ok && n >= 0 {
		return nil
	}
	switch n, err := strconv.ParseInt(string(id), 10, 32); {
	case len(id) > LongestID:
		return fmt.Errorf("%w: %s %.40q...: it has %d bytes, and may have %d", ErrLabel, what, string(id), len(id), LongestID)
	case !utf8.ValidString(string(id)) || strings.ContainsFunc(string(id), unicode.IsControl) || strings.TrimSpace(string(id)) != string(id):
		return fmt.Errorf("%w: %s %q: it is not a line of UTF-8 without space around it", ErrLabel, what, string(id))
	case err != nil && id[0] == '-' && strings.Trim(string(id[1:]), "0123456789") == "", err == nil && n < 0:
		return fmt.Errorf("%w: %s %s; %s", ErrLabel, what, string(id), use)
	case err == nil && Number(int(n)) != id:
		return fmt.Errorf("%w: %s %q is the number %d; ParseID brings numbers to one form", ErrLabel, what, string(id), n)
	}
	return nil
}

// MarshalJSON writes a number, a string, or null.
func (id ID) MarshalJSON() ([]byte, error) {
	if id == Unknown {
		return []byte("null"), nil
	}
	if _, ok := id.Number(); ok {
		return []byte(id), nil
	}
	return json.Marshal(string(id))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (id *ID) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*id = Unknown
		return nil
	}
	var text string
	if data[0] != '"' {
		n, err := strconv.ParseInt(string(data), 10, 64)
		if err != nil || n < -1 || n > math.MaxInt32 {
			return fmt.Errorf("%w: %.40s is not a whole number from -1 to %d, nor a text", ErrLabel, data, math.MaxInt32)
		}
		text = strconv.FormatInt(n, 10)
	} else if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	parsed, err := ParseID(text)
	*id = parsed
	return err
}
