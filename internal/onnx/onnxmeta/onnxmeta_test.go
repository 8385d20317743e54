package onnxmeta

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func sample() Metadata {
	return Metadata{
		Architecture: "resnet32", Classes: []string{"cat", `a "dog", or two`, "汽车"},
		Channels: 3, Height: 32, Width: 48,
		Mean: []float32{0.4914, 0.4822, 0.4465}, Std: []float32{0.1, 1e-8, 0.2616},
		Dataset: "cifar10", Mode: "dml", Toolkit: "0.1.0",
	}
}

func props(m Metadata) map[string]string {
	out := map[string]string{}
	for _, p := range m.Pairs() {
		out[p.Key] = p.Value
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	m := sample()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := Parse(props(m))
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, %v, want %+v", got, err, m)
	}
	m.NormalisedInGraph, m.Dataset, m.Students = true, "", []string{"a", `b "c"`}
	got, err = Parse(props(m))
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, %v, want %+v", got, err, m)
	}
}

func TestParseFaults(t *testing.T) {
	if _, err := Parse(map[string]string{"author": "x"}); !errors.Is(err, ErrNone) {
		t.Errorf("foreign model: %v", err)
	}
	for _, tc := range []struct {
		key, value string
		is         error
	}{
		{KeyFormat, "2", ErrNewer},
		{KeyFormat, "one", ErrInvalid},
		{KeyFormat, "-1", ErrInvalid},
		{KeyArchitecture, "", ErrInvalid},
		{KeyClasses, `["cat"]`, ErrInvalid},
		{KeyClasses, `cat,dog`, ErrInvalid},
		{KeyClasses, `["a","b","a"]`, ErrInvalid},
		{KeyChannels, "0", ErrInvalid},
		{KeyHeight, "0", ErrInvalid},
		{KeyWidth, "99999999", ErrInvalid},
		{KeyWidth, "", ErrInvalid},
		{KeyMean, "[0.5]", ErrInvalid},
		{KeyStd, "[1,0,1]", ErrInvalid},
		{KeyNormalised, "perhaps", ErrInvalid},
		{KeyStudents, "resnet20", ErrInvalid},
		{KeyStudents, "[]", ErrInvalid},
		{KeyStudents, `["a","a"]`, ErrInvalid},
		{KeyStudents, `[""]`, ErrInvalid},
	} {
		p := props(sample())
		p[tc.key] = tc.value
		if _, err := Parse(p); !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.key) && tc.is == ErrInvalid {
			t.Errorf("%s=%q: %v, want %v naming the key", tc.key, tc.value, err, tc.is)
		}
	}
}

func TestValidateReportsAll(t *testing.T) {
	m := Metadata{Channels: 1, Mean: []float32{float32(math.NaN())}, Std: []float32{-1}}
	err := m.Validate()
	for _, key := range []string{KeyArchitecture, KeyClasses, KeyHeight, KeyMean, KeyStd} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v lacks %s", err, key)
		}
	}
}

func FuzzParse(f *testing.F) {
	p := props(sample())
	f.Add(p[KeyClasses], p[KeyChannels], p[KeyHeight], p[KeyMean], p[KeyNormalised], `["a","b"]`)
	f.Add("null", "1e3", "-0", "[1e99]", "0", "null")
	f.Fuzz(func(t *testing.T, classes, channels, height, mean, normalised, students string) {
		q := props(sample())
		q[KeyClasses], q[KeyChannels], q[KeyHeight], q[KeyMean], q[KeyNormalised] = classes, channels, height, mean, normalised
		q[KeyStudents] = students
		m, err := Parse(q)
		if err != nil {
			return
		}
		again, err := Parse(props(m))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v did not survive writing: %+v, %v", m, again, err)
		}
	})
}
