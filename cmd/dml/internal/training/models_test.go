package training

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
)

// The table's memory is that of the JSON, which is train.PlanMemory's; that the
// plan is what training allocates is train's test.
func TestModelsMemory(t *testing.T) {
	models := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		app := cli.App{Commands: []*cli.Command{ModelsCommand(&console.Console{Stdout: &out, Stderr: &out})}}
		if err := app.Run(append([]string{"dml", "models"}, args...)); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	plan := func(batch string) map[string]modelInfo {
		t.Helper()
		var infos []modelInfo
		if err := json.Unmarshal([]byte(models("--batch", batch, "--backend", "ref", "--json")), &infos); err != nil {
			t.Fatal(err)
		}
		byName := make(map[string]modelInfo)
		for _, i := range infos {
			byName[i.Name] = i
		}
		return byName
	}
	small, large := plan("32"), plan("64")
	for name, i := range large {
		s := small[name].Memory
		m := i.Memory
		if m == nil || s == nil || m.Batch != 64 || m.Backend != "ref" {
			t.Fatalf("%s: no plan for 64 by ref: %+v", name, m)
		}
		if m.Total != m.Memory.Total() || m.Weights < 4*int64(i.Parameters) || m.Optimizer != 4*int64(i.Parameters) {
			t.Errorf("%s: %+v does not fit %d parameters", name, m, i.Parameters)
		}
		if m.Weights != s.Weights || m.Gradients != s.Gradients || m.Activations <= s.Activations || m.Evaluation <= s.Evaluation {
			t.Errorf("%s: %+v for a batch of 64, %+v for 32", name, m, s)
		}
	}
	resnet := large["resnet32"].Memory
	for line := range strings.Lines(models("--batch", "64", "--backend", "ref")) {
		if strings.HasPrefix(line, "resnet32 ") && !strings.Contains(line, " "+mebibytes(resnet.Total)+" ") {
			t.Errorf("%q lacks %s MiB", line, mebibytes(resnet.Total))
		}
	}
}
