package features

import (
	"errors"
	"testing"
	"time"

	"github.com/deepmutual/dml/reid"
)

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-05-01T12:00:00+02:00":   time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		"2026-05-01T12:00:00.000001Z": time.Date(2026, 5, 1, 12, 0, 0, 1000, time.UTC),
		"2026-05-01 12:00:00":         time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		"2026-05-01T12:00:00":         time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		"2026-05-01":                  time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
		"451":                         time.Unix(451, 0),
		"-1.5":                        time.Unix(-2, 5e8),
	} {
		if got, err := ParseTime(text); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "noon", "1e300", "NaN", "-Inf", "2026-13-01", "0001-01-01", "0001-01-01T00:00:00Z"} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestEntries(t *testing.T) {
	rows := []Row{
		{Name: "a", Label: reid.Label{PID: "3", Camera: "1"}, Track: "t", Time: "7", Line: 2},
		{Name: "b", Label: reid.Label{PID: reid.Unknown, Camera: reid.Unknown}, Line: 3},
	}
	got, err := Entries("l.csv", rows)
	want := []reid.Entry{{Name: "a", Label: rows[0].Label, Track: "t", Time: time.Unix(7, 0).UTC()}, {Name: "b", Label: rows[1].Label}}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	rows[1].Time = "noon"
	_, err = Entries("l.csv", rows)
	var bad *RowError
	if !errors.Is(err, ErrRow) || !errors.As(err, &bad) || bad.Line != 3 || bad.File != "l.csv" {
		t.Errorf("%v", err)
	}
}
