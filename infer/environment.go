//go:build cgo

package infer

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// environment counts the sessions that use ONNX Runtime's environment, which
// is global to the process. It is the package's only state.
var environment struct {
	mu      sync.Mutex
	users   int
	own     bool   // made here, so destroyed here
	library string // path it was loaded from, if own
}

// joinEnvironment makes sure of an environment until leaveEnvironment.
func joinEnvironment(library string) error {
	e := &environment
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ort.IsInitialized() {
		path, err := loadRuntime(library)
		if err != nil {
			return err
		}
		e.own, e.library = true, path
	} else {
		if e.users == 0 {
			e.own, e.library = false, ""
		}
		if library != "" && e.own && library != e.library {
			return fmt.Errorf("%w: %s is asked for, but %s is loaded already; close all models first", ErrNoRuntime, library, e.library)
		}
	}
	e.users++
	return nil
}

// leaveEnvironment gives up one use. The last destroys an environment that was
// made here.
func leaveEnvironment() error {
	e := &environment
	e.mu.Lock()
	defer e.mu.Unlock()
	e.users--
	if e.users > 0 || !e.own || !ort.IsInitialized() {
		return nil
	}
	return ort.DestroyEnvironment()
}

// loadRuntime finds the library and makes the environment from it.
func loadRuntime(library string) (path string, err error) {
	needed := fmt.Sprintf("1.%d", ortlib.MinMinor)
	lib, err := ortlib.Find(library)
	if old := (*ortlib.TooOldError)(nil); errors.As(err, &old) {
		return "", &RuntimeTooOldError{Path: old.Library.Path, Version: old.Library.Version, Needed: needed, Remedy: old.Library.Remedy()}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoRuntime, err)
	}
	silent, err := disableTelemetry()
	if err != nil {
		return "", fmt.Errorf("%w: its telemetry cannot be switched off: %w", ErrNoRuntime, err)
	}
	ort.SetSharedLibraryPath(lib.Path)
	// Whatever goes wrong comes back as an error; a library prints nothing.
	err = ort.InitializeEnvironment(ort.WithLogLevelFatal())
	if err != nil && strings.Contains(err.Error(), "ORT API base: 2") {
		version := lib.Version
		if version == "" {
			version = "unknown"
		}
		return "", &RuntimeTooOldError{Path: lib.Path, Version: version, Needed: needed, Remedy: lib.Remedy()}
	}
	if err != nil && strings.Contains(err.Error(), "looking up OrtGetApiBase") {
		return "", fmt.Errorf("%w: %s (%s) is another library: %s", ErrNoRuntime, lib.Path, lib.Origin, lib.Remedy())
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w: %s", ErrNoRuntime, lib.Path, err, lib.Remedy())
	}
	if silent {
		if err := ort.DisableTelemetry(); err != nil {
			return "", errors.Join(fmt.Errorf("%w: %s: %w", ErrNoRuntime, lib.Path, err), ort.DestroyEnvironment())
		}
	}
	return lib.Path, nil
}

// disableTelemetry keeps ONNX Runtime, from version 1.30 on, from writing an
// identifier of the machine into the user's cache folder and from sending what
// it runs to its maker. The library reads the variable when it makes its
// environment; one that is set already is the user's decision and stays.
func disableTelemetry() (disabled bool, err error) {
	const variable = "ORT_DISABLE_TELEMETRY"
	if _, decided := os.LookupEnv(variable); decided {
		return false, nil
	}
	return true, os.Setenv(variable, "1")
}
