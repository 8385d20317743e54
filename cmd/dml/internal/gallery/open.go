package gallery

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// waitFlag is that of verbs that change a gallery.
func waitFlag() cli.Flag {
	return &cli.DurationFlag{Name: "wait", Value: 30 * time.Second, Usage: "wait up to `DURATION` for another process that writes the gallery"}
}

// change opens a gallery to change it, whatever makes its features, and calls f.
func change(ctx *cli.Context, path string, f func(*reid.Gallery) error) error {
	info, err := reid.ReadGalleryInfo(path)
	if err != nil {
		return err
	}
	return changeOf(ctx, path, info.Fingerprint, f)
}

// changeOf is change of a gallery of that fingerprint.
func changeOf(ctx *cli.Context, path, fingerprint string, f func(*reid.Gallery) error) (err error) {
	if ctx.Duration("wait") < 0 {
		return console.Usagef("--wait: %v is below 0", ctx.Duration("wait"))
	}
	g, err := reid.OpenGallery(path, fingerprint)
	if err != nil {
		return galleryHint(err)
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	g.WaitForOthers(ctx.Duration("wait"))
	return f(g)
}

// memory is what a gallery's note keeps: what makes its features.
type memory struct {
	Models []rememberedModel `json:"models"`
	// Preprocess and Flip are the flags of those names; a file's path is absolute.
	Preprocess string `json:"preprocess,omitempty"`
	Flip       bool   `json:"flip,omitempty"`
}

type rememberedModel struct {
	Path   string `json:"path"` // absolute
	SHA256 string `json:"sha256"`
}

// memoryOf is that of models that were opened as the flags say.
func memoryOf(ctx *cli.Context, models []string, recipe features.Recipe) (memory, error) {
	m := memory{Preprocess: ctx.String("preprocess"), Flip: ctx.Bool("flip")}
	for i, path := range models {
		whole, err := filepath.Abs(path)
		if err != nil {
			return m, err
		}
		m.Models = append(m.Models, rememberedModel{whole, recipe.Models[i].SHA256})
	}
	if _, err := os.Stat(m.Preprocess); err == nil && m.Preprocess != "" {
		if m.Preprocess, err = filepath.Abs(m.Preprocess); err != nil {
			return m, err
		}
	}
	return m, nil
}

func remembered(note []byte) (m memory) {
	if json.Unmarshal(note, &m) != nil {
		return memory{} // it is somebody else's
	}
	return m
}

// recall returns the arguments behind the gallery, with the models that it
// remembers where images are given and no models, and sets the flags that go with
// these.
func recall(ctx *cli.Context, path string, args []string) ([]string, error) {
	isImage := func(arg string) bool { return !inference.IsModel(arg) && filepath.Ext(arg) != ".npy" }
	images := ctx.String("data") != "" || slices.ContainsFunc(args, isImage) || slices.ContainsFunc(ctx.StringSlice("query"), isImage)
	if !images || slices.ContainsFunc(args, inference.IsModel) || ctx.String("features") != "" || ctx.String("gallery") != "" {
		return args, nil
	}
	info, err := reid.ReadGalleryInfo(path)
	if err != nil {
		return nil, err
	}
	m := remembered(info.Note)
	if len(m.Models) == 0 {
		return nil, console.Usagef("reid gallery %s: %s does not know which models make its features: give ONNX files", ctx.Command.Name, path)
	}
	for _, model := range m.Models {
		if _, err := os.Stat(model.Path); err != nil {
			return nil, fmt.Errorf("the model that %s remembers: %w; give the ONNX files where they are now", path, err)
		}
		args = append(args, model.Path)
	}
	if !ctx.IsSet("preprocess") && m.Preprocess != "" {
		if err := ctx.Set("preprocess", m.Preprocess); err != nil {
			return nil, err
		}
	}
	if !ctx.IsSet("flip") && m.Flip {
		if err := ctx.Set("flip", "true"); err != nil {
			return nil, err
		}
	}
	return args, nil
}
