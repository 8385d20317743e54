package features

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/deepmutual/dml/reid"
)

// layouts of times that ParseTime reads.
var layouts = [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly}

// ParseTime reads a time: as of RFC 3339 ("2026-05-01T12:00:00Z"), with a space
// for the T, without a zone (then it is UTC), a day alone, or a number of
// seconds since 1970 (or since whenever the times of a data set start), whole or
// not. The first moment of the year 1 is refused: other programs write it for an
// unknown time, and as a bound of time it would not be one.
func ParseTime(text string) (time.Time, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			if t.IsZero() {
				return t, fmt.Errorf("%.40q stands for an unknown time; leave it out", text)
			}
			return t.UTC(), nil
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(math.Abs(seconds) < 9e9) { // the years 1685 to 2255
		return time.Time{}, fmt.Errorf("%.40q is not a time; write 2026-05-01T12:00:00Z, 2026-05-01, or a number of seconds", text)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e9))).UTC(), nil
}

// Entry is the row as an image of a gallery. Faults of its time wrap ErrRow.
func (r Row) Entry() (reid.Entry, error) {
	e := reid.Entry{Name: r.Name, Label: r.Label, Track: r.Track}
	if r.Time == "" {
		return e, nil
	}
	var err error
	if e.Time, err = ParseTime(r.Time); err != nil {
		return reid.Entry{}, fmt.Errorf("%w: %w", ErrRow, err)
	}
	return e, nil
}

// Entries are the rows of a file as images of a gallery. Faults are *RowErrors.
func Entries(file string, rows []Row) ([]reid.Entry, error) {
	out := make([]reid.Entry, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.Entry(); err != nil {
			return nil, &RowError{file, r.Line, err}
		}
	}
	return out, nil
}
