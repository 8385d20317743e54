package setup

import (
	"strings"
	"testing"
)

func TestInstallOneDNN(t *testing.T) {
	for _, tc := range []struct{ goos, release, want string }{
		{"darwin", "", "brew install onednn"},
		{"linux", "ID=debian\nVERSION_ID=\"12\"\n", "libdnnl2"},
		{"linux", "ID=debian\nVERSION_ID=\"13\"\n", "libdnnl3"},
		{"linux", "ID=debian\nPRETTY_NAME=\"sid\"\n", "libdnnl3"},
		{"linux", "ID=ubuntu\nVERSION_ID=\"22.04\"\n", "libdnnl2"},
		{"linux", "ID=ubuntu\nVERSION_ID=\"24.04\"\n", "libdnnl3"},
		{"linux", "ID=other\n", "package manager"},
		{"windows", "", "package manager"},
	} {
		if got := installOneDNN(tc.goos, tc.release, ""); !strings.Contains(got, tc.want) {
			t.Errorf("%s %q: %q, want %q", tc.goos, tc.release, got, tc.want)
		}
	}
}
