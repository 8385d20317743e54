package app

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReIDSynth(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "walkers")
	flags := []string{"--train", "3", "--test", "2", "--cameras", "2", "--images", "2", "--distractors", "0.5", "--junk", "0.25", "--seed", "7"}
	r := mustRun(t, append([]string{"reid", "synth", dir, "--json"}, flags...)...)
	var got struct {
		Dir        string
		Seed       int
		Difficulty string
		Cameras    int
		Identities struct{ Train, Test int }
		Images     map[string]int
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Dir != dir || got.Seed != 7 || got.Difficulty != "medium" || got.Cameras != 2 || got.Identities != (struct{ Train, Test int }{3, 2}) || r.stderr != "" {
		t.Errorf("printed %s%s", r.stdout, r.stderr)
	}
	for folder, want := range map[string]int{"bounding_box_train": 12, "query": 4, "bounding_box_test": 8 + 4 + 2, "gt_bbox": 12} {
		names, err := fs.Glob(os.DirFS(dir), folder+"/*.jpg")
		if err != nil || len(names) != want {
			t.Errorf("%s has %d images, want %d; error %v", folder, len(names), want, err)
		}
	}
	for key, want := range map[string]int{"train": 12, "query": 4, "gallery": 14, "junk": 2, "distractors": 4, "multi_query": 12} {
		if got.Images[key] != want {
			t.Errorf("printed %d images of %s, want %d", got.Images[key], key, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "README.txt")); err != nil {
		t.Error(err)
	}
	// The same flags give the same bytes; the table says where they are.
	again := filepath.Join(t.TempDir(), "again")
	if text := mustRun(t, append([]string{"reid", "synth", again, "--threads", "1"}, flags...)...).stdout; !strings.Contains(text, again) || !strings.Contains(text, "4 distractors, 2 junk") {
		t.Errorf("printed %s", text)
	}
	names, err := fs.Glob(os.DirFS(dir), "*/*.jpg")
	if err != nil || len(names) != 42 {
		t.Fatalf("%d images, error %v", len(names), err)
	}
	for _, name := range names {
		a, errA := os.ReadFile(filepath.Join(dir, name))
		b, errB := os.ReadFile(filepath.Join(again, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from run to run; errors %v, %v", name, errA, errB)
		}
	}
	if r := dml(t, append([]string{"reid", "synth", dir}, flags...)...); r.code != exitFailure || !strings.Contains(r.stderr, "not empty") || !strings.Contains(r.stderr, dir) {
		t.Errorf("a folder in use: exit code %d, %s", r.code, r.stderr)
	}
}

func TestReIDSynthUsage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "walkers")
	for want, args := range map[string][]string{
		"needs a folder":              {},
		"no other argument":           {dir, "other"},
		"--train cannot be 0":         {dir, "--train", "0"},
		"--seed cannot be 0":          {dir, "--seed", "0"},
		"1 cameras; 2 to 99":          {dir, "--cameras", "1"},
		"junk of -1":                  {dir, "--junk", "-1", "--images", "-3"},
		"-3 images":                   {dir, "--junk", "-1", "--images", "-3"},
		`difficulty "mean"`:           {dir, "--difficulty", "mean"},
		"--threads: -1":               {dir, "--threads", "-1"},
		"distractors of NaN":          {dir, "--distractors", "NaN"},
		"persons; at most 9999":       {dir, "--train", "10000"},
		"unknown flag --no-such-flag": {dir, "--no-such-flag"},
	} {
		if r := dml(t, append([]string{"reid", "synth"}, args...)...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: exit code %d, %s; want %q", args, r.code, r.stderr, want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a wrong command line made the folder")
	}
}
