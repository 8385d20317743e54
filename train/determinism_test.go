package train

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/deepmutual/dml/models"
)

// digestVariable makes TestTrainingDigest the child of TestSameBitsAcrossProcesses.
const digestVariable = "DML_TEST_TRAINING_SEED"

// TestSameBitsAcrossProcesses runs a short training of two students in processes
// of their own: seed, schedule, threads and library are the same, so every bit
// of weights, optimizer state and scores must be.
func TestSameBitsAcrossProcesses(t *testing.T) {
	train := func(seed string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestTrainingDigest$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), digestVariable+"="+seed)
		out, err := cmd.CombinedOutput()
		digest := regexp.MustCompile(`(?m)^ *determinism_test.go:\d+: (.+ [0-9a-f]{64})$`).FindSubmatch(out)
		if err != nil || digest == nil {
			t.Fatalf("training in another process: %v\n%s", err, out)
		}
		return string(digest[1])
	}
	first, second, other := train("5"), train("5"), train("6")
	t.Logf("%s", first)
	if first != second {
		t.Errorf("one process: %s\nanother:     %s", first, second)
	}
	if first == other {
		t.Error("another seed has the same bits: the test compares nothing")
	}
}

// TestTrainingDigest prints a digest of a short training.
func TestTrainingDigest(t *testing.T) {
	var seed uint64
	if _, err := fmt.Sscan(os.Getenv(digestVariable), &seed); err != nil {
		t.Skipf("a part of TestSameBitsAcrossProcesses, which sets %s", digestVariable)
	}
	backend, err := OpenBackend("")
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	// Two equal students run side by side, unequal ones in turn on two threads.
	for _, second := range []string{"resnet8", "convnet"} {
		cfg := tinyConfig()
		cfg.Seed = seed
		cfg.Students = []Student{{Arch: "resnet8"}, {Arch: second}}
		s, err := New(cfg, tinyData(t), Options{Backend: backend})
		if err != nil {
			t.Fatal(err)
		}
		if together := s.cohort.lineup.sideBySide; together != (second == "resnet8") {
			t.Errorf("resnet8 and %s side by side: %v", second, together)
		}
		store, _ := run(t, s, t.Context(), Events{})
		for _, st := range store.last {
			hashWeights(h, st.Weights)
			for _, slot := range slices.Sorted(maps.Keys(st.Slots)) {
				hashWeights(h, st.Slots[slot])
			}
		}
		scores, err := json.Marshal(store.epochs)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(scores)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s %x", backend.Name, h.Sum(nil))
}

// hashWeights writes names and bits in the order of the names.
func hashWeights(w io.Writer, weights models.Weights) {
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		fmt.Fprintf(w, "%s %x\n", name, weights[name])
	}
}
