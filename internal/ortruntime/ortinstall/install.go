package ortinstall

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// Errors of Install; test with errors.Is.
var (
	ErrInstall  = errors.New("ONNX Runtime could not be installed")
	ErrChecksum = errors.New("the library has an unknown SHA-256")
)

// ReleaseURL is where the official release archives are.
const ReleaseURL = "https://github.com/microsoft/onnxruntime/releases/download"

// Options says how to install. The zero value is what most want.
type Options struct {
	Dir string // folder to fill; "" means ortlib.CacheDir

	// NPM and Pip are the command lines to run; nil means npm, and the first
	// of pip3, pip and python3 -m pip that exists.
	NPM, Pip []string
	// ReleaseURL replaces the constant of that name.
	ReleaseURL string
	// SHA256 is the hexadecimal checksum of a library to accept besides the
	// known ones: of the release archive's, say, after checking it yourself.
	SHA256 string
	// Log receives a line for each thing that is tried; nil discards them.
	Log func(line string)

	release *release // replaces releaseFor's answer in tests
}

// Validate reports every fault of o, joined.
func (o Options) Validate() error {
	if o.SHA256 == "" {
		return nil
	}
	if sum, err := hex.DecodeString(o.SHA256); err != nil || len(sum) != sha256.Size || o.SHA256 != strings.ToLower(o.SHA256) {
		return fmt.Errorf("SHA-256 %q: want 64 lower-case hexadecimal digits", o.SHA256)
	}
	return nil
}

// Install puts the library for this platform into the cache folder and returns
// it. Where ONNXRUNTIME_SHARED_LIBRARY_PATH names a library, or the cache holds
// one with a known checksum, nothing is fetched. Otherwise npm, pip and the
// release archive are tried in turn; the error wraps ErrInstall, says what each
// answered and what to do. A file is in the cache only when it is complete and
// its checksum is known.
func Install(ctx context.Context, opts Options) (ortlib.Library, error) {
	if err := opts.Validate(); err != nil {
		return ortlib.Library{}, err
	}
	if env := os.Getenv(ortlib.EnvLibrary); env != "" {
		return ortlib.Find("")
	}
	in, err := newInstaller(opts)
	if err != nil {
		return ortlib.Library{}, fmt.Errorf("%w: %w", ErrInstall, err)
	}
	if lib, ok := in.present(); ok {
		return lib, nil
	}
	if err := os.MkdirAll(filepath.Dir(in.target), 0o755); err != nil {
		return ortlib.Library{}, fmt.Errorf("%w: %w", ErrInstall, err)
	}
	var tried []error
	for _, source := range []struct {
		name  string
		fetch func(ctx context.Context, tmp string) error
	}{{"npm", in.npm}, {"pip", in.pip}, {"release archive", in.archive}} {
		err := in.try(ctx, source.fetch)
		if err == nil {
			lib, err := ortlib.Inspect(in.target, "cache")
			if err != nil {
				return ortlib.Library{}, fmt.Errorf("%w: %w", ErrInstall, err)
			}
			in.log("installed %s by %s", in.target, source.name)
			return lib, nil
		}
		if ctx.Err() != nil {
			return ortlib.Library{}, fmt.Errorf("%w: %w", ErrInstall, context.Cause(ctx))
		}
		in.log("%s: %v", source.name, err)
		tried = append(tried, fmt.Errorf("  %s: %w", source.name, err))
	}
	return ortlib.Library{}, fmt.Errorf("%w for %s/%s:\n%w\nInstall Node.js (npm) or Python's pip and try again, or fetch %s elsewhere and set %s to the library in it",
		ErrInstall, runtime.GOOS, runtime.GOARCH, errors.Join(tried...), in.archiveURL(), ortlib.EnvLibrary)
}

type installer struct {
	opts    Options
	release release
	target  string
}

func newInstaller(opts Options) (*installer, error) {
	in := &installer{opts: opts}
	if opts.release != nil {
		in.release = *opts.release
	} else {
		r, err := releaseFor(runtime.GOOS, runtime.GOARCH)
		if err != nil {
			return nil, err
		}
		in.release = r
	}
	dir := opts.Dir
	if dir == "" {
		var err error
		if dir, err = ortlib.CacheDir(); err != nil {
			return nil, err
		}
	}
	in.target = filepath.Join(dir, ortlib.FileName(runtime.GOOS))
	return in, nil
}

func (in *installer) log(format string, args ...any) {
	if in.opts.Log != nil {
		in.opts.Log(fmt.Sprintf(format, args...))
	}
}

// present reports a cached library whose checksum is known.
func (in *installer) present() (ortlib.Library, bool) {
	f, err := os.Open(in.target)
	if err != nil {
		return ortlib.Library{}, false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ortlib.Library{}, false
	}
	if sum := hex.EncodeToString(h.Sum(nil)); !slices.Contains(in.release.acceptable(in.opts.SHA256), sum) {
		in.log("%s has the unknown SHA-256 %s and is replaced", in.target, sum)
		return ortlib.Library{}, false
	}
	lib, err := ortlib.Inspect(in.target, "cache")
	return lib, err == nil
}

// try runs a fetch with a folder of its own, gone afterwards.
func (in *installer) try(ctx context.Context, fetch func(context.Context, string) error) error {
	tmp, err := os.MkdirTemp("", "dml-onnxruntime-")
	if err != nil {
		return err
	}
	return errors.Join(fetch(ctx, tmp), os.RemoveAll(tmp))
}

// place writes the library that r holds to the cache if its checksum is known.
func (in *installer) place(r io.Reader) error {
	f, err := files.Create(in.target, 0o755)
	if err != nil {
		return err
	}
	defer f.Discard() // does nothing once committed
	h := sha256.New()
	const maxLibrary = 1 << 30
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, maxLibrary))
	if err != nil {
		return fmt.Errorf("writing %s: %w", in.target, err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if !slices.Contains(in.release.acceptable(in.opts.SHA256), sum) {
		return fmt.Errorf("%w: %s (%d bytes); if you trust it, give that checksum", ErrChecksum, sum, n)
	}
	return f.Commit()
}

// only returns the single file in dir with that extension.
func only(dir, extension string) (string, error) {
	matches, err := fs.Glob(os.DirFS(dir), "*"+extension)
	if err != nil {
		return "", err
	}
	if len(matches) != 1 {
		return "", fmt.Errorf("delivered %d %s files, expected one", len(matches), extension)
	}
	return filepath.Join(dir, matches[0]), nil
}
