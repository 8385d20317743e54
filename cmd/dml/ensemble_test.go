package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"
)

// TestEnsemble compares what several networks answer with their means.
func TestEnsemble(t *testing.T) {
	needRuntime(t)
	dir := t.TempDir()
	must(0, writeThirdParty(dir))
	a, b, picture := filepath.Join(dir, "a.onnx"), filepath.Join(dir, "b.onnx"), filepath.Join(dir, "cat.png")
	probabilities := func(args ...string) map[string]float64 {
		t.Helper()
		var out struct {
			Images []struct {
				Top []struct {
					Label       string
					Probability float64
				}
			}
		}
		if err := json.Unmarshal([]byte(mustRun(t, append(append([]string{"infer"}, args...), "--json")...).stdout), &out); err != nil {
			t.Fatal(err)
		}
		p := make(map[string]float64)
		for _, s := range out.Images[0].Top {
			p[s.Label] = s.Probability
		}
		return p
	}
	one, other := probabilities(a, picture), probabilities(b, picture)
	for name, mean := range map[string]map[string]float64{"3,1": probabilities(a, b, picture, "--weights", "3,1"), "1,1": probabilities(a, b, picture)} {
		w := map[string]float64{"3,1": .75, "1,1": .5}[name]
		if d := mean["cat"] - (w*one["cat"] + (1-w)*other["cat"]); math.Abs(d) > 1e-6 || len(mean) != 3 {
			t.Errorf("weights %s: mean %v of %v and %v", name, mean, one, other)
		}
	}
	joint := probabilities(a, b, picture, "--ensemble", "logits")
	product := math.Sqrt(one["cat"] * other["cat"])
	sum := product + math.Sqrt(one["dog"]*other["dog"]) + math.Sqrt(one["emu"]*other["emu"])
	if math.Abs(joint["cat"]-product/sum) > 1e-5 {
		t.Errorf("mean of logits: %v, want cat %v", joint, product/sum)
	}
}
