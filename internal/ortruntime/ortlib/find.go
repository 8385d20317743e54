package ortlib

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// The environment variables that decide where the library is.
const (
	EnvLibrary = "ONNXRUNTIME_SHARED_LIBRARY_PATH" // the library file itself
	EnvCache   = "DML_CACHE"                       // cache folder of the toolkit
)

// Errors of Find; test with errors.Is.
var (
	ErrNotFound = errors.New("ONNX Runtime's library was not found")
	ErrTooOld   = errors.New("ONNX Runtime's library is too old")
)

// TooOldError says which library is too old. It wraps ErrTooOld.
type TooOldError struct {
	Library Library
}

func (e *TooOldError) Error() string {
	return fmt.Sprintf("%s (%s) is ONNX Runtime %s; at least 1.%d is needed: %s",
		e.Library.Path, e.Library.Origin, e.Library.Version, MinMinor, e.Library.Remedy())
}

func (e *TooOldError) Unwrap() error { return ErrTooOld }

// Library is a library file that was found.
type Library struct {
	Path    string
	Version string // such as "1.30.0"; "" where the file does not say
	Origin  string // where it was found, for people: "cache", "system", ...
}

// Origins of a library that somebody named; Find tries no other then.
const (
	originGiven = "the path given"
	originEnv   = EnvLibrary
)

// Remedy says what to do about a library that does not serve.
func (l Library) Remedy() string {
	switch l.Origin {
	case originGiven:
		return "give the path of another library; `dml runtime install` fetches one"
	case originEnv:
		return "unset " + EnvLibrary + " or point it at another library; `dml runtime install` fetches one"
	}
	return "run `dml runtime install`, or point " + EnvLibrary + " at another library"
}

// CacheRoot returns the toolkit's cache folder: $DML_CACHE, or dml in the
// user's cache folder.
func CacheRoot() (string, error) {
	if root := os.Getenv(EnvCache); root != "" {
		return root, nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder (set %s): %w", EnvCache, err)
	}
	return filepath.Join(user, "dml"), nil
}

// CacheDir returns the folder that the library is installed into:
// onnxruntime/<version> in the cache folder.
func CacheDir() (string, error) {
	root, err := CacheRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "onnxruntime", Wanted), nil
}

// FileName is the name under which the library is cached.
func FileName(goos string) string {
	switch goos {
	case "darwin":
		return "libonnxruntime." + Wanted + ".dylib"
	case "windows":
		return "onnxruntime.dll"
	}
	return "libonnxruntime.so." + Wanted
}

// Find returns the library to load. A path that is given, or set in
// ONNXRUNTIME_SHARED_LIBRARY_PATH, is a decision: if it does not serve, that is
// an error and nothing else is tried. Otherwise the cache folder is looked at,
// then the system's library folders. The error wraps ErrNotFound, with the
// places looked at, or ErrTooOld.
func Find(path string) (Library, error) {
	cache, err := CacheDir()
	if err != nil {
		cache = "" // only a user without a home folder: look elsewhere
	}
	return finder{env: os.Getenv(EnvLibrary), cache: cache, system: systemPatterns()}.find(path)
}

// finder holds the places to look at.
type finder struct {
	env    string
	cache  string
	system []string // glob patterns
}

func (f finder) find(path string) (Library, error) {
	if path != "" {
		return chosen(path, originGiven)
	}
	if f.env != "" {
		return chosen(f.env, originEnv)
	}
	var tooOld *TooOldError
	look := func(path, origin string) (Library, bool) {
		lib, err := Inspect(path, origin)
		if err == nil {
			return lib, true
		}
		if tooOld == nil {
			errors.As(err, &tooOld)
		}
		return Library{}, false // absent, or another file of that name
	}
	var places []string
	if f.cache != "" {
		cached := filepath.Join(f.cache, FileName(runtime.GOOS))
		if lib, ok := look(cached, "cache"); ok {
			return lib, nil
		}
		places = append(places, cached)
	}
	for _, pattern := range f.system {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // a folder name that is not a pattern
		}
		for _, match := range matches {
			if lib, ok := look(match, "system"); ok {
				return lib, nil
			}
		}
		if dir := filepath.Dir(pattern); !slices.Contains(places, dir) {
			places = append(places, dir)
		}
	}
	if tooOld != nil {
		return Library{}, tooOld
	}
	return Library{}, fmt.Errorf("%w: run `dml runtime install`, or set %s to the library's path (looked at %s)",
		ErrNotFound, EnvLibrary, strings.Join(places, ", "))
}

// chosen inspects a library that somebody named.
func chosen(path, origin string) (Library, error) {
	lib, err := Inspect(path, origin)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotLibrary) {
		return Library{}, fmt.Errorf("%w: %s: %w: %s", ErrNotFound, origin, err, Library{Origin: origin}.Remedy())
	}
	return lib, err
}

// Inspect returns what is known about the library file at path. The error wraps
// that of the file system, ErrNotLibrary, or ErrTooOld.
func Inspect(path, origin string) (Library, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Library{}, err
	}
	if !info.Mode().IsRegular() {
		return Library{}, fmt.Errorf("%w: %s is a folder or special file; name the library file itself", ErrNotLibrary, path)
	}
	version, err := ReadVersion(path)
	if err != nil {
		return Library{}, err
	}
	lib := Library{Path: path, Version: version, Origin: origin}
	if TooOld(version) {
		return Library{}, &TooOldError{Library: lib}
	}
	return lib, nil
}

// systemPatterns lists where the dynamic linker and package managers keep
// libraries on this system.
func systemPatterns() []string {
	var dirs []string
	list := func(env string) { dirs = append(dirs, filepath.SplitList(os.Getenv(env))...) }
	names := []string{"libonnxruntime.so", "libonnxruntime.so.*"}
	switch runtime.GOOS {
	case "darwin":
		list("DYLD_LIBRARY_PATH")
		dirs = append(dirs, "/opt/homebrew/lib", "/usr/local/lib")
		names = []string{"libonnxruntime.dylib", "libonnxruntime.*.dylib"}
	case "windows":
		if exe, err := os.Executable(); err == nil {
			dirs = append(dirs, filepath.Dir(exe))
		}
		list("PATH")
		names = []string{"onnxruntime.dll"}
	default:
		list("LD_LIBRARY_PATH")
		dirs = append(dirs, "/usr/local/lib")
		switch runtime.GOARCH {
		case "amd64":
			dirs = append(dirs, "/usr/lib/x86_64-linux-gnu")
		case "arm64":
			dirs = append(dirs, "/usr/lib/aarch64-linux-gnu")
		}
		dirs = append(dirs, "/usr/lib64", "/usr/lib")
	}
	var patterns []string
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		for _, name := range names {
			patterns = append(patterns, filepath.Join(dir, name))
		}
	}
	return patterns
}
