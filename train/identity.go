package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/deepmutual/dml/dataset"
)

// ErrOtherRun is wrapped by Restore for states of a run with other settings or
// other data.
var ErrOtherRun = errors.New("the state belongs to a run with other settings or data")

// identity is what must be the same when a run goes on, by name: all settings
// but those that may change between parts of a run, and what the data looked
// like.
func (s *Session) identity(data dataset.Splits, teacher Teacher) (json.RawMessage, error) {
	cfg := s.cfg
	cfg.Name, cfg.Epochs, cfg.Threads, cfg.Backend, cfg.Data.Path, cfg.Teacher.Path = "", 0, 0, "", "", ""
	cfg.Stop = StopConfig{}
	cfg.Students = slices.Clone(cfg.Students)
	for i := range cfg.Students {
		cfg.Students[i].Init = "" // InitSHA256 tells the file from others
		// States hold the network itself: a file may have moved.
		cfg.Students[i].Arch = cfg.Students[i].architecture()
	}
	cfg.Data.Cache = nil
	id := map[string]string{
		"the data set":           s.dataset,
		"its classes":            fmt.Sprintf("%q", s.classes),
		"its mean and deviation": fmt.Sprint(s.norm),
		"the training samples":   fmt.Sprint(data.Train.Len()),
		"the validation samples": fmt.Sprint(data.Val.Len()),
	}
	if teacher != nil {
		id["the teacher"] = teacher.Info().Fingerprint
	}
	flatten(id, "", reflect.ValueOf(cfg))
	return json.Marshal(id)
}

// flatten writes the settings below v under the names that they have in a
// configuration file.
func flatten(out map[string]string, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			flatten(out, path, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if name == "-" {
				continue
			}
			flatten(out, strings.TrimPrefix(path+"."+name, "."), v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			flatten(out, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}

// sameRun reports every setting in which a state's identity differs from the
// session's.
func sameRun(own, state json.RawMessage) error {
	var now, then map[string]string
	if err := errors.Join(json.Unmarshal(own, &now), json.Unmarshal(state, &then)); err != nil {
		return fmt.Errorf("%w: %w", ErrOtherRun, err)
	}
	keys := maps.Clone(now)
	maps.Copy(keys, then)
	var faults []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if now[key] != then[key] {
			faults = append(faults, fmt.Sprintf("%s is %s, was %s", key, setting(now, key), setting(then, key)))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrOtherRun, strings.Join(faults, "; "))
}

func setting(of map[string]string, key string) string {
	if v, ok := of[key]; ok {
		return fmt.Sprintf("%q", v)
	}
	return "not set"
}
