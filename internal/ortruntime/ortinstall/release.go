package ortinstall

import (
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// release says how ONNX Runtime is published for one platform.
type release struct {
	npmFile  string // path of the library in the onnxruntime-node tarball
	npmSum   string // SHA-256 of that file
	pipTag   string // platform tag of the wheel
	pipFile  string // path of the library in the wheel
	pipSum   string // SHA-256 of that file
	archive  string // name of the release archive
	archFile string // path of the library in the archive
}

// Wheels for other Python versions may hold a library of other bytes, so one is
// asked for whatever Python runs pip.
const (
	wheelPython = "3.11"
	wheelABI    = "cp311"
)

// releaseFor returns how version ortlib.Wanted is published for a platform. The
// checksums were taken from the packages that npm and pip deliver. There is
// none for the release archives: see acceptable.
func releaseFor(goos, goarch string) (release, error) {
	const npm, wheel = "package/bin/napi-v6/", "onnxruntime/capi/"
	archive := func(name, extension, lib string) (string, string) {
		folder := "onnxruntime-" + name + "-" + ortlib.Wanted
		return folder + extension, folder + "/lib/" + lib
	}
	var r release
	switch goos + "/" + goarch {
	case "linux/amd64":
		r = release{
			npmFile: npm + "linux/x64/libonnxruntime.so.1",
			npmSum:  "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23",
			pipTag:  "manylinux_2_28_x86_64", pipFile: wheel + "libonnxruntime.so." + ortlib.Wanted,
			pipSum: "c902c70b3003c0e99fada202f37478c515ae9bba7944c2b2abd0017bae0c82ed",
		}
		r.archive, r.archFile = archive("linux-x64", ".tgz", "libonnxruntime.so."+ortlib.Wanted)
	case "linux/arm64":
		r = release{
			npmFile: npm + "linux/arm64/libonnxruntime.so.1",
			npmSum:  "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76",
			pipTag:  "manylinux_2_28_aarch64", pipFile: wheel + "libonnxruntime.so." + ortlib.Wanted,
			pipSum: "8a218e1e446880131115c368ec7005969a5022af9a15a26173de648fef0b7789",
		}
		r.archive, r.archFile = archive("linux-aarch64", ".tgz", "libonnxruntime.so."+ortlib.Wanted)
	case "darwin/arm64":
		r = release{
			npmFile: npm + "darwin/arm64/libonnxruntime." + ortlib.Wanted + ".dylib",
			npmSum:  "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d",
			pipTag:  "macosx_14_0_arm64", pipFile: wheel + "libonnxruntime." + ortlib.Wanted + ".dylib",
			pipSum: "8f54aa3989f2d4b2f9fbe8af298b1c147978ec899a8c28e20d0d35edc0005027",
		}
		r.archive, r.archFile = archive("osx-arm64", ".tgz", "libonnxruntime."+ortlib.Wanted+".dylib")
	case "windows/amd64":
		r = release{
			npmFile: npm + "win32/x64/onnxruntime.dll",
			npmSum:  "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67",
			pipTag:  "win_amd64", pipFile: wheel + "onnxruntime.dll",
			pipSum: "44741724166ad61c8c82885e394793807f2cf5707c83b9e33c2d78d75c6e7650",
		}
		r.archive, r.archFile = archive("win-x64", ".zip", "onnxruntime.dll")
	case "windows/arm64":
		r = release{
			npmFile: npm + "win32/arm64/onnxruntime.dll",
			npmSum:  "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0",
			pipTag:  "win_arm64", pipFile: wheel + "onnxruntime.dll",
			pipSum: "ddeec3d8a99b9261fa4db558bba0f62d52a8577a7a2dc566bbf2b0d7ebfc90a0",
		}
		r.archive, r.archFile = archive("win-arm64", ".zip", "onnxruntime.dll")
	default:
		return release{}, fmt.Errorf("ONNX Runtime %s is not published for %s/%s: build it from source and set %s to the library",
			ortlib.Wanted, goos, goarch, ortlib.EnvLibrary)
	}
	return r, nil
}

// acceptable returns the checksums that a library may have: those of npm's and
// pip's packages, and one that the caller vouches for. The release archives
// hold separately built files whose checksums are not known here, so an
// archive serves only where its library equals one of the others or the caller
// gives its checksum.
func (r release) acceptable(own string) []string {
	sums := []string{r.npmSum, r.pipSum}
	if own != "" && !slices.Contains(sums, own) {
		sums = append(sums, own)
	}
	return sums
}
