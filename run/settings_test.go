package run

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/train"
)

var update = flag.Bool("update", false, "write the table of docs/configuration.md")

// TestSettingsAreDocumented compares the table of docs/configuration.md with
// Settings; go test ./run -run Documented -update writes it.
func TestSettingsAreDocumented(t *testing.T) {
	path := filepath.Join("..", "docs", "configuration.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| key | flag | type | default | meaning |\n|---|---|---|---|---|\n"
	before, rest, found := strings.Cut(string(text), head)
	_, after, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatalf("%s has no table of settings", path)
	}
	var table strings.Builder
	for _, s := range Settings() {
		f := ""
		if s.Flag != "" {
			f = "`--" + s.Flag + "` "
		}
		fmt.Fprintf(&table, "| `%s` | %s| %s | %s | %s |\n", s.Key, f, s.Type(), s.Default, s.Meaning)
	}
	want := before + head + table.String() + "\n" + after
	if want == string(text) {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of %s is not that of Settings; run go test ./run -run Documented -update", path)
}

// keys lists the keys below a struct with their fields, in order.
func keys(v reflect.Value, prefix string, add func(key string, field reflect.Value)) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch f := v.Field(i); {
		case name == "-": // not in the file
		case f.Kind() == reflect.Struct:
			keys(f, prefix+name+".", add)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			add(prefix+name, f)
			keys(reflect.New(f.Type().Elem()).Elem(), prefix+name+"[].", add)
		default:
			add(prefix+name, f)
		}
	}
}

// TestEveryFieldIsASetting: the table names every field once, and its defaults
// are those of WithDefaults.
func TestEveryFieldIsASetting(t *testing.T) {
	rows := make(map[string]Setting)
	for _, s := range Settings() {
		if _, twice := rows[s.Key]; twice || s.Default == "" || s.Meaning == "" || (s.Help != "" && s.Flag == "") {
			t.Errorf("setting %+v", s)
		}
		rows[s.Key] = s
	}
	derived := map[string]bool{"name": true, "schedule.every": true, "augment.resized_crop.min_scale": true} // they depend on others
	standard := Config{}.WithDefaults()
	keys(reflect.ValueOf(standard), "", func(key string, f reflect.Value) {
		s, found := rows[key]
		delete(rows, key)
		if !found {
			t.Errorf("%s is not in Settings", key)
			return
		}
		for f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		if f.IsZero() || f.Kind() == reflect.Pointer || derived[key] {
			return
		}
		if want, _, _ := strings.Cut(s.Default, ";"); want != fmt.Sprint(f.Interface()) {
			t.Errorf("the default of %s is documented as %q, it is %v", key, s.Default, f.Interface())
		}
	})
	for key := range rows {
		t.Errorf("%s is in Settings, but no field", key)
	}
}

func TestSettingsAreSet(t *testing.T) {
	rows := make(map[string]Setting)
	for _, s := range Settings() {
		rows[s.Key] = s
	}
	var cfg Config
	for _, given := range []struct {
		key    string
		values []string
	}{
		{"epochs", []string{"3"}}, {"seed", []string{"18446744073709551615"}}, {"optimizer.learning_rate", []string{"0.25"}},
		{"optimizer.momentum", []string{"0"}}, {"optimizer.nesterov", []string{"false"}}, {"optimizer.decay_exclude", []string{"bias, batch_norm"}},
		{"schedule.milestones", []string{"60,120"}}, {"teacher.mean", []string{"0.5,0.25,0"}}, {"stop.time", []string{"90m"}},
		{"data.height", []string{"160x64"}}, {"augment.flip", []string{"true"}}, {"mode", []string{"dml_e"}},
		{"students", []string{"a,b=convnet", "resnet8"}}, {"students[].init", []string{"resnet8-1=x.onnx"}},
	} {
		if err := rows[given.key].Set(&cfg, given.values...); err != nil {
			t.Errorf("%s: %v", given.key, err)
		}
	}
	want := Config{Epochs: 3, Seed: 1<<64 - 1, Mode: train.ModeDMLEnsemble, Data: DataConfig{Height: 160, Width: 64}, Augment: AugmentConfig{Flip: true},
		Optimizer: OptimizerConfig{LearningRate: 0.25, Momentum: new(0.0), Nesterov: new(false), DecayExclude: cfg.Optimizer.DecayExclude},
		Schedule:  ScheduleConfig{Milestones: []int{60, 120}}, Teacher: TeacherConfig{Mean: []float32{0.5, 0.25, 0}}, Stop: StopConfig{Time: 5400e9},
		Students: []StudentConfig{{Name: "a,b", Arch: "convnet"}, {Arch: "resnet8", Init: "x.onnx"}}}
	if !reflect.DeepEqual(cfg, want) || fmt.Sprint(cfg.Optimizer.DecayExclude) != "[bias batch_norm]" {
		t.Errorf("%+v, want %+v", cfg, want)
	}
	for _, bad := range []struct{ key, value, want string }{
		{"epochs", "0", "leave it out"}, {"epochs", "many", `"many" is not a whole number`}, {"batch", "1.5", "whole number"}, {"seed", "-1", "whole number"},
		{"optimizer.learning_rate", "0", "leave it out"}, {"optimizer.beta1", "x", "number"}, {"optimizer.nesterov", "perhaps", "true or false"},
		{"schedule.milestones", "1,x", "list"}, {"stop.time", "5", "2h"}, {"data.height", "32", "HxW"}, {"data.height", "32x32x32", "HxW"},
		{"students[].init", "a.onnx", "STUDENT=FILE"}, {"students[].init", "c=a.onnx", `no student "c"`},
	} {
		cfg := tinyConfig()
		err := rows[bad.key].Set(&cfg, bad.value)
		if e := (*train.SettingError)(nil); !errors.As(err, &e) || e.Key != bad.key || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s = %s: %v, want %q", bad.key, bad.value, err, bad.want)
		}
	}
	if err := rows["students[].init"].Set(&cfg, "resnet8-1=x", "resnet8-1=y"); err == nil || !strings.Contains(err.Error(), "two files") {
		t.Errorf("two files for one student: %v", err)
	}
}

func TestSettingOf(t *testing.T) {
	for key, want := range map[string]string{
		"optimizer.momentum": "momentum", "students[3].optimizer.momentum": "momentum", "students[0].arch": "student", "students": "student",
		"students[1].schedule.every": "lr-step", "students[1].seed": "",
	} {
		if s, ok := SettingOf(key); !ok || s.Flag != want {
			t.Errorf("%s is a setting of the flag %q, want %q", key, s.Flag, want)
		}
	}
	if s, ok := SettingOf("learning"); ok {
		t.Errorf("a setting that is not there: %+v", s)
	}
}
