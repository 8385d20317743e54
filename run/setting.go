package run

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deepmutual/dml/train"
)

// Setting is a row of the table of settings, from which come the keys of
// configuration files, the flags of dml train, and their documentation.
type Setting struct {
	// Key of the field in a configuration file: optimizer.momentum. In a list,
	// [] stands for the number: students[].seed.
	Key string
	// Flag of dml train that sets it, without dashes; "" for none. Several
	// settings may share one.
	Flag string
	// Help of the flag in a line, with the name of its value in backquotes; ""
	// for the settings that share the flag of another.
	Help    string
	Default string // in words
	Meaning string // for the documentation
	Resume  bool   // it may be given anew for a run that goes on

	nonzero bool   // a flag cannot set it to 0, which means the default
	of      string // the kinds, of its optimizer or schedule, that know it; "" is all
	check   func(Config) error
	read    func(c *Config, values []string) error
}

// Type of the value, in the words of the documentation.
func (s Setting) Type() string {
	v := field(reflect.ValueOf(new(Config)).Elem(), s.Key)
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Struct:
		return "settings"
	}
	return "integer"
}

// Set writes the values of the setting's flag to a configuration: one text, or
// for a flag that may be repeated several. The error is a *train.SettingError.
func (s Setting) Set(c *Config, values ...string) error {
	read := s.read
	if read == nil {
		read = func(c *Config, values []string) error {
			return s.set(field(reflect.ValueOf(c).Elem(), s.Key), values[0])
		}
	}
	if err := read(c, values); err != nil {
		return &train.SettingError{Key: s.Key, Err: err}
	}
	return nil
}

// Repeated reports whether the setting's flag may be given several times.
func (s Setting) Repeated() bool { return s.Key == "students" || s.Key == "students[].init" }

// set parses a text into a field.
func (s Setting) set(v reflect.Value, text string) error {
	if v.Kind() == reflect.Pointer {
		value := reflect.New(v.Type().Elem())
		if err := s.set(value.Elem(), text); err != nil {
			return err
		}
		v.Set(value)
		return nil
	}
	if v.Kind() == reflect.Slice {
		list := reflect.MakeSlice(v.Type(), 0, 3)
		for part := range strings.SplitSeq(text, ",") {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := s.set(item, strings.TrimSpace(part)); err != nil {
				return fmt.Errorf("%q is not a list with commas between: %w", text, err)
			}
			list = reflect.Append(list, item)
		}
		v.Set(list)
		return nil
	}
	var err error
	what := s.Type()
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		var d time.Duration
		d, err = time.ParseDuration(text)
		v.SetInt(int64(d))
		what = "duration, as 2h or 90m"
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
		what = "switch, true or false"
	case v.CanFloat():
		var x float64
		x, err = strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(x)
		what = "number"
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, 64)
		v.SetUint(n)
		what = "whole number"
	default:
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		v.SetInt(n)
		what = "whole number"
	}
	if err != nil {
		return fmt.Errorf("%q is not a %s", text, what)
	}
	if s.nonzero && v.IsZero() {
		return errors.New("it cannot be 0; leave it out for the default")
	}
	return nil
}

// SettingOf returns the setting that a key, as a train.SettingError has it, is
// one of: students[1].optimizer.momentum is one of optimizer.momentum.
func SettingOf(key string) (Setting, bool) {
	at := slices.IndexFunc(Settings(), func(s Setting) bool { return s.Key == plainKey(key) })
	if at < 0 {
		return Setting{}, false
	}
	return Settings()[at], true
}

// plainKey is a key without numbers; what a student has as the run has is the
// run's.
func plainKey(key string) string {
	if open := strings.IndexByte(key, '['); open >= 0 {
		_, rest, _ := strings.Cut(key[open:], "]")
		key = key[:open] + "[]" + rest
	}
	for _, shared := range sharedSettings {
		if rest, ok := strings.CutPrefix(key, "students[]."+shared); ok && rest != "" {
			return shared + rest
		}
	}
	return key
}

// sharedSettings are those below which a student may have settings of its own.
var sharedSettings = [...]string{"optimizer", "schedule"}

// field finds the field of a key in a struct. Of a list it finds that of a new
// element, which tells its type.
func field(v reflect.Value, key string) reflect.Value {
	name, rest, more := strings.Cut(key, ".")
	plain, isList := strings.CutSuffix(name, "[]")
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); tag != plain {
			continue
		}
		f := v.Field(i)
		if isList {
			f = reflect.New(f.Type().Elem()).Elem()
		}
		if more {
			return field(f, rest)
		}
		return f
	}
	panic("run: there is a setting " + key + " without a field in Config") // a mistake in Settings; its test finds it
}

// copyFields copies what two structs have by the same name and type.
func copyFields(dst, src any) {
	to, from := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src)
	for i := range to.NumField() {
		f := from.FieldByName(to.Type().Field(i).Name)
		if f.IsValid() && f.Type() == to.Field(i).Type() {
			to.Field(i).Set(f)
		}
	}
}
