package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
)

// The bounds of a configuration file: far above what a run needs, and low
// enough that a hostile one cannot exhaust the memory of the YAML reader.
const (
	maxConfigBytes = 1 << 18
	maxConfigDepth = 50
)

// ReadConfig reads a configuration file, without applying defaults. Unknown
// and repeated keys are errors that point at the line.
func ReadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	cfg, err := parseConfig(text)
	if err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

func parseConfig(text []byte) (Config, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(text) > maxConfigBytes || nesting(text) > maxConfigDepth {
		return Config{}, fmt.Errorf("more than %d bytes or %d levels of brackets: not the configuration of a run", maxConfigBytes, maxConfigDepth)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	var cfg Config
	if err := dec.Decode(&cfg); err != nil {
		if errors.Is(err, io.EOF) {
			return Config{}, errors.New("the file holds no configuration")
		}
		return Config{}, errors.New(yaml.FormatError(err, false, true))
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("a second YAML document (after ---); a run has one")
	}
	return cfg, nil
}

// nesting returns how deep brackets nest, quoted ones included.
func nesting(text []byte) int {
	depth, most := 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth--
		}
	}
	return most
}
