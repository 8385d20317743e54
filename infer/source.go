package infer

import "fmt"

// source is a model's file or bytes.
type source struct {
	path string // "" where it is not known
	data []byte // nil where the file is to be read
}

func (s source) String() string {
	if s.path == "" {
		return fmt.Sprintf("model of %d bytes", len(s.data))
	}
	return s.path
}
