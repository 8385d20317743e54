package run

import (
	"path/filepath"
	"testing"
)

// TestRecipes: the recipes that come with the product are valid.
func TestRecipes(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "configs", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d recipes, %v", len(paths), err)
	}
	for _, path := range paths {
		cfg, err := ReadConfig(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := cfg.WithDefaults().Validate(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
