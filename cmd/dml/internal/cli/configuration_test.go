package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/deepmutual/dml/train"
)

// configKeys lists the keys of a configuration, with the types and defaults
// that the documentation gives them.
func configKeys(v reflect.Value, prefix string, add func(key, kind, standard string)) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "-" {
			continue // not in the file
		}
		key, field := prefix+name, v.Field(i)
		if field.Kind() == reflect.Pointer {
			if field.Type().Elem().Kind() == reflect.Struct { // documented where it is not optional
				add(key, "settings", "")
				continue
			}
			if field.IsNil() {
				field = reflect.New(field.Type().Elem())
			}
			field = field.Elem()
		}
		standard := ""
		if !field.IsZero() {
			standard = fmt.Sprint(field.Interface())
		}
		if field.Type() == reflect.TypeFor[time.Duration]() {
			add(key, "duration", standard)
			continue
		}
		switch field.Kind() {
		case reflect.Struct:
			configKeys(field, key+".", add)
		case reflect.Slice:
			add(key, "list", "")
			if elem := field.Type().Elem(); elem.Kind() == reflect.Struct {
				configKeys(reflect.New(elem).Elem(), key+"[].", add)
			}
		case reflect.String:
			add(key, "text", standard)
		case reflect.Bool:
			add(key, "true or false", fmt.Sprint(field.Bool()))
		case reflect.Float64:
			add(key, "number", standard)
		default:
			add(key, "integer", standard)
		}
	}
}

// TestConfigurationIsDocumented compares docs/configuration.md with the
// configuration and the flags that there are.
func TestConfigurationIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ flag, kind, standard, meaning string }
	rows := make(map[string]row)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if key := strings.Trim(cells[0], " "); len(cells) == 5 && strings.HasPrefix(key, "`") {
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows[strings.Trim(key, "`")] = row{strings.Trim(cells[1], "`"), cells[2], cells[3], cells[4]}
		}
	}
	flags := make(map[string]string)
	for _, s := range trainSettings() {
		for key := range strings.SplitSeq(s.key, ", ") {
			flags[key] = "--" + s.flag.Names()[0]
		}
	}
	flags["students[].arch"], flags["students[].name"] = flags["students"], flags["students"]

	// These depend on others.
	derived := map[string]bool{"name": true, "schedule.every": true}
	configKeys(reflect.ValueOf(train.Config{}.WithDefaults()), "", func(key, kind, standard string) {
		r, found := rows[key]
		delete(rows, key)
		if !found {
			t.Errorf("%s is not documented", key)
			return
		}
		if r.flag != flags[key] || r.kind != kind || r.meaning == "" || r.standard == "" {
			t.Errorf("%s is documented as %+v, it is %q, %s", key, r, flags[key], kind)
		}
		if standard != "" && !derived[key] && r.standard != standard {
			t.Errorf("the default of %s is documented as %q, it is %q", key, r.standard, standard)
		}
		delete(flags, key)
	})
	for key := range rows {
		t.Errorf("%s is documented, but no key", key)
	}
	for key, flag := range flags {
		t.Errorf("the key %s of flag %s does not exist", key, flag)
	}
}

// TestStudentNameWithComma: a comma does not divide a student in two.
func TestStudentNameWithComma(t *testing.T) {
	out := t.TempDir()
	mustRun(t, "train", "--data", mnistFolder(t, 60, 12), "--student", "a,b=convnet", "--mode", "independent",
		"--epochs", "1", "--batch", "16", "--backend", "ref", "--quiet", "--out", out, "--name", "trial")
	exists(t, filepath.Join(out, "trial", "a,b", "last.ckpt"))
}
