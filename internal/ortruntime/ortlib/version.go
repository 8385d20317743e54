package ortlib

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Wanted is the version that is installed.
const Wanted = "1.30.0"

// NewestOpset is the newest version of ONNX's operator set that Wanted computes.
const NewestOpset = 26

// NewestIR is the newest version of ONNX's file format that Wanted reads.
const NewestIR = 13

// MinMinor is the oldest 1.x release with the C API (version 29) that the Go
// binding was built for. ONNX Runtime keeps older APIs, so newer ones serve.
const MinMinor = 29

// ErrNotLibrary is wrapped where a file is not a shared library of this system.
var ErrNotLibrary = errors.New("not a shared library")

// ReadVersion returns the release a library file says it is, such as
// "1.30.0", or "" for a library that does not say. It reads the ELF symbol
// version, the Mach-O library version or the PE version resource, and does not
// load the library. The error wraps ErrNotLibrary for any other file.
func ReadVersion(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	version, err := readVersion(f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return version, nil
}

func readVersion(r io.ReaderAt) (string, error) {
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil {
		return "", ErrNotLibrary // shorter than any library
	}
	var version string
	var err error
	switch {
	case string(magic[:]) == elf.ELFMAG:
		version, err = elfVersion(r)
	case binary.LittleEndian.Uint32(magic[:]) == macho.Magic64:
		version, err = machoVersion(r)
	case string(magic[:2]) == "MZ":
		version, err = peVersion(r)
	default:
		return "", ErrNotLibrary
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotLibrary, err)
	}
	return version, nil
}

// elfVersion finds the version that the linker script gives every exported
// symbol: VERS_1.30.0.
func elfVersion(r io.ReaderAt) (string, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return "", err
	}
	if f.Type != elf.ET_DYN {
		return "", fmt.Errorf("an ELF file of type %v", f.Type)
	}
	versions, err := f.DynamicVersions()
	if err != nil {
		return "", nil // a library without symbol versions
	}
	for _, v := range versions {
		if text, ok := strings.CutPrefix(v.Name, "VERS_"); ok {
			if _, _, ok := parseVersion(text); ok {
				return text, nil
			}
		}
	}
	return "", nil
}

// machoVersion reads the current version in the LC_ID_DYLIB load command.
func machoVersion(r io.ReaderAt) (string, error) {
	f, err := macho.NewFile(r)
	if err != nil {
		return "", err
	}
	const idDylib = 0xd
	for _, l := range f.Loads {
		raw := l.Raw()
		if len(raw) >= 20 && f.ByteOrder.Uint32(raw) == idDylib {
			v := f.ByteOrder.Uint32(raw[16:])
			return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff), nil
		}
	}
	return "", fmt.Errorf("a Mach-O file that is not a dynamic library")
}

// peVersion reads the file version in the fixed part of the version resource,
// which its signature marks.
func peVersion(r io.ReaderAt) (string, error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return "", err
	}
	section := f.Section(".rsrc")
	if section == nil {
		return "", nil
	}
	data, err := section.Data()
	if err != nil {
		return "", err
	}
	at := bytes.Index(data, []byte{0xbd, 0x04, 0xef, 0xfe})
	if at < 0 || at+16 > len(data) {
		return "", nil
	}
	high, low := binary.LittleEndian.Uint32(data[at+8:]), binary.LittleEndian.Uint32(data[at+12:])
	return fmt.Sprintf("%d.%d.%d", high>>16, high&0xffff, low>>16), nil
}

// parseVersion returns the first two numbers of a version such as "1.30.0".
func parseVersion(text string) (major, minor int, ok bool) {
	m := regexp.MustCompile(`^(\d{1,4})\.(\d{1,4})(\.|$)`).FindStringSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(m[1]) // four digits at most
	minor, _ = strconv.Atoi(m[2])
	return major, minor, true
}

// TooOld reports whether a version is known and older than the Go binding
// needs.
func TooOld(version string) bool {
	major, minor, ok := parseVersion(version)
	return ok && (major < 1 || major == 1 && minor < MinMinor)
}
