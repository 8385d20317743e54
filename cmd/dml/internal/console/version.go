package console

import (
	"runtime/debug"
	"strings"
)

// Version is that of the module the binary was built from.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// LongVersion is version with the revision of the source where the binary
// knows it and version does not contain it.
func LongVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Version()
	}
	return Version() + revision(Version(), info.Settings)
}

// revision returns what build settings add to a version.
func revision(version string, settings []debug.BuildSetting) string {
	const length = 12 // as in the versions that Go makes
	var revision, modified string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(length, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if revision == "" || strings.Contains(version, revision) {
		return ""
	}
	return " (revision " + revision + modified + ")"
}
