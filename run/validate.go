package run

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// Validate reports every fault of a configuration whose defaults are written
// out, joined, each a *train.SettingError, in the order of Settings.
func (c Config) Validate() error {
	var found []*train.SettingError
	add := func(key string, err error) {
		if err != nil {
			found = append(found, &train.SettingError{Key: key, Err: err})
		}
	}
	unknown := c.kindFaults(add)
	for _, s := range Settings() {
		if s.check != nil {
			add(s.Key, s.check(c))
		}
	}
	for i, s := range c.Students {
		c.studentFaults(fmt.Sprintf("students[%d]", i), s, add)
	}
	for _, e := range settingErrors(c.values().Validate()) {
		unknownKind := slices.ContainsFunc(unknown, func(prefix string) bool { return strings.HasPrefix(e.Key, prefix) })
		if !unknownKind && !strings.HasSuffix(e.Key, ".arch") { // which studentFaults has looked at
			found = append(found, e)
		}
	}
	order := make(map[string]int)
	for i, s := range Settings() {
		order[s.Key] = i
	}
	slices.SortStableFunc(found, func(a, b *train.SettingError) int {
		return cmp.Compare(order[plainKey(a.Key)], order[plainKey(b.Key)])
	})
	var out []error
	for _, e := range found {
		out = append(out, e)
	}
	return errors.Join(out...)
}

// settingErrors lists those that an error has joined.
func settingErrors(err error) []*train.SettingError {
	var out []*train.SettingError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			out = append(out, settingErrors(e)...)
		}
	} else if e := (*train.SettingError)(nil); errors.As(err, &e) {
		out = append(out, e)
	}
	return out
}

// kinds of optimizers and schedules.
var kinds = map[string][]string{"optimizer": {"sgd", "adam", "adamw"}, "schedule": {"step", "multistep", "cosine", "constant"}}

// kindFaults reports optimizers and schedules of no known kind, and settings that
// their kind does not know. It returns the keys of the first, with a dot.
func (c Config) kindFaults(add func(string, error)) (unknown []string) {
	look := func(at, shared string, v reflect.Value) {
		kind := v.FieldByName("Kind").String()
		if known := kinds[shared]; !slices.Contains(known, kind) {
			last := len(known) - 1
			add(at+".kind", fmt.Errorf("%q is unknown; use %s or %s", kind, strings.Join(known[:last], ", "), known[last]))
			unknown = append(unknown, at+".")
			return
		}
		for _, s := range Settings() {
			key, ok := strings.CutPrefix(s.Key, shared+".")
			if !ok || s.of == "" || slices.Contains(strings.Fields(s.of), kind) || empty(field(v, key)) {
				continue
			}
			add(at+"."+key, fmt.Errorf("the %s %s has none", shared, kind))
		}
	}
	for _, shared := range sharedSettings {
		look(shared, shared, field(reflect.ValueOf(c), shared))
		for i := range c.Students {
			if own := field(reflect.ValueOf(c.Students[i]), shared); !own.IsNil() {
				look(fmt.Sprintf("students[%d].%s", i, shared), shared, own.Elem())
			}
		}
	}
	return unknown
}

// empty reports whether a setting is not given.
func empty(v reflect.Value) bool { return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 }

func (c Config) studentFaults(at string, s StudentConfig, add func(string, error)) {
	if slices.Contains([]string{"config.yaml", "results.csv", "reference.ckpt", "onnx", "lock", "ensemble"}, s.Name) ||
		strings.HasPrefix(s.Name, ".") || strings.Contains(s.Name, ".json") {
		add(at+".name", fmt.Errorf("%q cannot be the name of a student's folder in a run", s.Name))
	}
	add(at+".arch", s.archFault())
	add(at+".init", validUTF8(s.Init))
	sum, err := hex.DecodeString(s.InitSHA256)
	switch {
	case s.InitSHA256 != "" && (err != nil || len(sum) != sha256.Size):
		add(at+".init_sha256", fmt.Errorf("%q is not 64 hexadecimal digits", s.InitSHA256))
	case s.InitSHA256 != "" && s.Init == "":
		add(at+".init_sha256", errors.New("given without init"))
	}
}

// archFault reports what is wrong with the architecture. A file is not looked
// at: a finished run does not need it any more.
func (s StudentConfig) archFault() error {
	switch {
	case s.Network != nil && s.Arch != goArch+s.Network.Name:
		return fmt.Errorf("%q is given beside a network of your own, %q: leave it out", s.Arch, s.Network.Name)
	case s.Network != nil:
		return s.Network.Validate()
	case models.IsFile(s.Arch):
		return validUTF8(s.Arch)
	case strings.HasPrefix(s.Arch, goArch):
		return nil
	}
	_, err := models.Lookup(s.Arch)
	return err
}

func validUTF8(path string) error {
	if !utf8.ValidString(path) {
		return fmt.Errorf("%q is not valid UTF-8, which a configuration file cannot hold; rename or link it", path)
	}
	return nil
}

// The checks of single settings.

func checkName(c Config) error {
	if !train.ValidName(c.Name) {
		return fmt.Errorf("%q cannot be a folder name", c.Name)
	}
	return nil
}

func checkDataPath(c Config) error {
	if c.Data.Path == "" {
		return errors.New("missing; give the folder or file of the data")
	}
	return validUTF8(c.Data.Path)
}

func checkKind(c Config) error {
	if c.Data.Kind != dataset.Auto && !slices.Contains(dataset.Kinds(), c.Data.Kind) {
		return fmt.Errorf("%q is unknown; use one of %v", c.Data.Kind, dataset.Kinds())
	}
	return nil
}

func checkPattern(c Config) error {
	if err := (dataset.Options{Pattern: c.Data.Pattern}).Validate(); err != nil {
		return err
	}
	if c.Data.Pattern != "" && c.Data.Kind != dataset.Market1501 && slices.Contains(dataset.Kinds(), c.Data.Kind) {
		return fmt.Errorf("it is for data of the kind %s, not %s", dataset.Market1501, c.Data.Kind)
	}
	return nil
}

func checkLimit(c Config) error {
	if c.Data.Limit < 0 {
		return fmt.Errorf("%d is negative", c.Data.Limit)
	}
	return nil
}

func checkValidation(c Config) error {
	if v := c.Data.Validation; !(v > 0 && v < 1) {
		return fmt.Errorf("%g is not between 0 and 1", v)
	}
	return nil
}

func checkCache(c Config) error {
	const most = 1 << 24 // MiB
	if v := *c.Data.Cache; v < 0 || v > most {
		return fmt.Errorf("%d is not between 0 (none) and %d MiB", v, most)
	}
	return nil
}

func checkBackend(c Config) error {
	if c.Backend != "" && !slices.Contains(train.Backends(), c.Backend) {
		return fmt.Errorf("%q is unknown; use %s", c.Backend, strings.Join(train.Backends(), " or "))
	}
	return nil
}

// useless is the fault of a setting of the teacher where the mode has none.
func (c Config) useless(given bool) error {
	if given && c.Mode != train.ModeDistill {
		return fmt.Errorf("mode %s has no teacher; leave this out, or use mode %s", c.Mode, train.ModeDistill)
	}
	return nil
}

func checkTeacherPath(c Config) error {
	if c.Mode == train.ModeDistill && c.Teacher.Path == "" {
		return fmt.Errorf("missing; mode %s needs a teacher: an ONNX file, a checkpoint or the folder of a run", train.ModeDistill)
	}
	return cmp.Or(c.useless(c.Teacher.Path != ""), validUTF8(c.Teacher.Path))
}

func checkTeacherOutput(c Config) error {
	if o := c.Teacher.Output; c.Mode == train.ModeDistill && o != "" && o != OutputLogits && o != OutputProbabilities {
		return fmt.Errorf("%q is unknown; use %s or %s", o, OutputLogits, OutputProbabilities)
	}
	return c.useless(c.Teacher.Output != "")
}

func checkTeacherMean(c Config) error { return c.channelValues(c.Teacher.Mean, math.Inf(-1), "mean") }

func checkTeacherStd(c Config) error { return c.channelValues(c.Teacher.Std, 0, "std") }

// channelValues checks values, one a channel, that must be finite and above a
// bound.
func (c Config) channelValues(values []float32, above float64, what string) error {
	if c.Mode != train.ModeDistill {
		return c.useless(len(values) > 0)
	}
	if n := len(values); n != 0 && n != 1 && n != 3 {
		return fmt.Errorf("%d values; give one a channel, 1 or 3", n)
	}
	for _, x := range values {
		if v := float64(x); !(v > above) || math.IsInf(v, 0) {
			return fmt.Errorf("%g is not a possible %s", x, what)
		}
	}
	return nil
}
