package app

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/reid"
)

// TestMultiplierMissing: without oneDNN gonum computes the same, and it is said.
func TestMultiplierMissing(t *testing.T) {
	_, flags := reidFiles(t)
	flags = append(flags, "--json", "--rerank", "--k1", "5", "--k2", "2")
	with := mustRun(t, flags...)
	t.Setenv(onednn.LibraryVariable, t.TempDir()+"/nowhere.so")
	without := mustRun(t, flags...)
	if !strings.Contains(without.stderr, "gonum") || !strings.Contains(without.stderr, "nowhere.so") {
		t.Errorf("stderr is %q", without.stderr)
	}
	a, b := new(reid.Result), new(reid.Result)
	if err := errors.Join(json.Unmarshal([]byte(with.stdout), a), json.Unmarshal([]byte(without.stdout), b)); err != nil {
		t.Fatal(err)
	}
	if !(a.MAP > .1) || math.Abs(a.MAP-b.MAP) > 1e-6 || math.Abs(a.Rerank.MAP-b.Rerank.MAP) > 1e-6 {
		t.Errorf("mAP %v with, %v without; re-ranked %v, %v", a.MAP, b.MAP, a.Rerank.MAP, b.Rerank.MAP)
	}
}
