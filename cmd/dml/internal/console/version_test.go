package console

import (
	"runtime/debug"
	"testing"
)

func TestRevision(t *testing.T) {
	stamp := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "true"}}
	for _, tc := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"(devel)", nil, ""},
		{"(devel)", stamp, " (revision 0123456789ab, modified)"},
		{"v0.1.0", stamp[:2], " (revision 0123456789ab)"},
		{"v0.0.0-20260102030405-0123456789ab+dirty", stamp, ""},
	} {
		if got := revision(tc.version, tc.settings); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.version, got, tc.want)
		}
	}
}
