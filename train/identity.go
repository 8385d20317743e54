package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/train/optim"
)

// ErrOtherRun is wrapped by Restore for states of a run with other settings or
// other data.
var ErrOtherRun = errors.New("the state belongs to a run with other settings or data")

// identity is what must be the same when a run goes on, by name: all settings
// but those that may change between parts of a run, what the data looked like
// (by dataset.Digest, so that exchanged labels are found), and what the caller adds. Zero settings are left out, so that a run goes on
// where a new program knows more settings than that which began it.
func (s *Session) identity(data dataset.Splits, teacher Teacher, more map[string]string) (json.RawMessage, error) {
	cfg := s.cfg
	cfg.Epochs, cfg.Threads, cfg.Stop = 0, 0, Stop{}
	cfg.Students = slices.Clone(cfg.Students)
	for i := range cfg.Students { // states hold the network itself, and restored weights replace the initial ones
		cfg.Students[i].Network, cfg.Students[i].Weights = nil, nil
	}
	id := map[string]string{
		"the data set":           s.dataset,
		"its classes":            fmt.Sprintf("%q", s.classes),
		"its mean and deviation": fmt.Sprint(s.norm),
		"the training samples":   fmt.Sprint(data.Train.Len()),
		"the validation samples": fmt.Sprint(data.Val.Len()),
	}
	for part, ds := range map[string]dataset.Dataset{"training": data.Train, "validation": data.Val, "test": data.Test} {
		if ds == nil {
			continue
		}
		digest, err := dataset.Digest(ds)
		if err != nil {
			return nil, err
		}
		id[digestOf+part+" images"] = digest
	}
	if teacher != nil {
		id["the teacher"] = teacher.Info().Fingerprint
	}
	flatten(id, "", reflect.ValueOf(cfg))
	maps.Copy(id, more)
	return json.Marshal(id)
}

// digestOf starts the names of digests of data, which older states do not have.
const digestOf = "the digest of names, sizes and labels of the "

// keys are those of fields whose keys their names do not give.
var keys = map[string]string{"height": "data.height", "width": "data.width", "b_float16": "bfloat16"}

// flatten writes the settings below v that are not zero, by their keys.
func flatten(out map[string]string, path string, v reflect.Value) {
	if v.IsZero() && v.Kind() != reflect.Struct {
		return
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if w, ok := v.Interface().(optim.Warmup); ok {
			out[path+".warmup"] = fmt.Sprint(w.Epochs)
			flatten(out, path, reflect.ValueOf(&w.Schedule).Elem())
			return
		}
		if v.Kind() == reflect.Interface {
			out[path+".kind"] = strings.ToLower(v.Elem().Type().Name())
		}
		flatten(out, path, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				name := key(field.Name)
				if path == "" && keys[name] != "" {
					name = keys[name]
				}
				flatten(out, strings.TrimPrefix(path+"."+name, "."), v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			flatten(out, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}

// key is the name of a field as configuration files write it: PadCrop is
// pad_crop.
func key(field string) string {
	var b strings.Builder
	for i, r := range field {
		lower := i > 0 && unicode.IsLower(rune(field[i-1]))
		next := i > 0 && i+1 < len(field) && unicode.IsLower(rune(field[i+1]))
		if unicode.IsUpper(r) && (lower || next) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// sameRun reports every setting in which a state's identity differs from the
// session's.
func sameRun(own, state json.RawMessage) error {
	var now, then map[string]string
	if err := errors.Join(json.Unmarshal(own, &now), json.Unmarshal(state, &then)); err != nil {
		return fmt.Errorf("%w: %w", ErrOtherRun, err)
	}
	all := maps.Clone(now)
	maps.Copy(all, then)
	var faults []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if _, known := then[key]; !known && strings.HasPrefix(key, digestOf) {
			continue
		}
		if set(now[key]) != set(then[key]) {
			faults = append(faults, fmt.Sprintf("%s is %s, was %s", key, setting(now[key]), setting(then[key])))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrOtherRun, strings.Join(faults, "; "))
}

// set is the value of a setting, "" where it is not set.
func set(value string) string {
	switch value {
	case "0", "0s", "false", fmt.Sprint(optim.Zero): // as older states say it
		return ""
	}
	return value
}

func setting(value string) string {
	if set(value) == "" {
		return "not set"
	}
	return fmt.Sprintf("%q", value)
}
