package inference

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/internal/pixels"
)

// FindImages lists the files given and the images in the folders given, in the
// order of their names. Links are followed, as in training. A folder without
// an image is an error, as is a special file, which could block for ever.
func FindImages(places []string) ([]string, error) {
	var images []string
	for _, place := range places {
		info, err := os.Stat(place)
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			images = append(images, place)
			continue
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is neither a file nor a folder: save the image to a file first", place)
		}
		s := search{searched: make(map[string]bool)}
		if err := s.folder(place); err != nil {
			return nil, err
		}
		if len(s.images) == 0 {
			return nil, fmt.Errorf("%s holds no image file", place)
		}
		images = append(images, s.images...)
	}
	return images, nil
}

// search is a walk through folders.
type search struct {
	images   []string
	searched map[string]bool // folders by their path without links: each is searched once
}

func (s *search) folder(dir string) error {
	place, err := filepath.EvalSymlinks(dir)
	if err == nil {
		place, err = filepath.Abs(place)
	}
	if err != nil || s.searched[place] {
		return err
	}
	s.searched[place] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path, kind := filepath.Join(dir, entry.Name()), entry.Type()
		if kind&fs.ModeSymlink != 0 {
			info, err := os.Stat(path)
			if err != nil {
				s.images = append(s.images, path) // it may be an image; classify reports it
				continue
			}
			kind = info.Mode().Type()
		}
		switch {
		case kind.IsDir():
			if err := s.folder(path); err != nil {
				return err
			}
		case kind.IsRegular():
			// What cannot be read may be an image; classify reports it.
			if is, err := isImage(path); is || err != nil {
				s.images = append(s.images, path)
			}
		}
	}
	return nil
}

// isImage looks at the first bytes of a file.
func isImage(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, pixels.SniffLen)
	n, err := io.ReadFull(f, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil // a short file
	}
	return pixels.Sniff(head[:n]) != "", err
}
