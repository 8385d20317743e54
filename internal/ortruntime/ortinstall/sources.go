package ortinstall

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// npm fetches the onnxruntime-node package, which holds the libraries of all
// platforms, and unpacks this platform's.
func (in *installer) npm(ctx context.Context, tmp string) error {
	command := in.opts.NPM
	if len(command) == 0 {
		command = []string{"npm"}
	}
	args := append(command[1:len(command):len(command)], "pack", "onnxruntime-node@"+ortlib.Wanted, "--silent", "--pack-destination", tmp)
	if err := in.run(ctx, tmp, command[0], args...); err != nil {
		return err
	}
	path, err := only(tmp, ".tgz")
	if err != nil {
		return err
	}
	return in.placeFromTar(path, in.release.npmFile)
}

// pip fetches the onnxruntime wheel of a fixed Python version.
func (in *installer) pip(ctx context.Context, tmp string) error {
	command := in.opts.Pip
	if len(command) == 0 {
		var err error
		if command, err = findPip(); err != nil {
			return err
		}
	}
	args := append(command[1:len(command):len(command)], "download", "onnxruntime=="+ortlib.Wanted, "--no-deps", "--quiet",
		"--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp", "--python-version", wheelPython,
		"--abi", wheelABI, "--platform", in.release.pipTag, "--dest", tmp)
	if err := in.run(ctx, tmp, command[0], args...); err != nil {
		return err
	}
	path, err := only(tmp, ".whl")
	if err != nil {
		return err
	}
	return in.placeFromZip(path, in.release.pipFile)
}

func findPip() ([]string, error) {
	for _, command := range [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}} {
		if _, err := exec.LookPath(command[0]); err == nil {
			return command, nil
		}
	}
	return nil, fmt.Errorf("pip3, pip and python3: %w", exec.ErrNotFound)
}

func (in *installer) archiveURL() string {
	base := in.opts.ReleaseURL
	if base == "" {
		base = ReleaseURL
	}
	return strings.TrimSuffix(base, "/") + "/v" + ortlib.Wanted + "/" + in.release.archive
}

// archive fetches the official release archive.
func (in *installer) archive(ctx context.Context, tmp string) error {
	url := in.archiveURL()
	in.log("fetching %s", url)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	path := filepath.Join(tmp, in.release.archive)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("fetching %s: %w", url, err)
	}
	if strings.HasSuffix(path, ".zip") {
		return in.placeFromZip(path, in.release.archFile)
	}
	return in.placeFromTar(path, in.release.archFile)
}

// run runs a package client in dir and puts the end of its output into the
// error.
func (in *installer) run(ctx context.Context, dir, name string, args ...string) error {
	in.log("running %s %s", name, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	const tail = 400
	text := strings.TrimSpace(string(out))
	if len(text) > tail {
		text = "..." + text[len(text)-tail:]
	}
	if text == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, text)
}

func (in *installer) placeFromTar(path, member string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	tr := tar.NewReader(gz)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s does not hold %s", filepath.Base(path), member)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if h.Typeflag == tar.TypeReg && strings.TrimPrefix(h.Name, "./") == member {
			return in.place(tr)
		}
	}
}

func (in *installer) placeFromZip(path, member string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	defer z.Close()
	f, err := z.Open(member)
	if err != nil {
		return fmt.Errorf("%s does not hold %s: %w", filepath.Base(path), member, err)
	}
	defer f.Close()
	return in.place(f)
}
