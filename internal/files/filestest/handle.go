package filestest

import (
	"io"

	"github.com/deepmutual/dml/internal/files"
)

// handle is an open file of a Disk.
type handle struct {
	d    *Disk
	f    files.Handle
	path string
	node *node
}

func (h *handle) Read(p []byte) (int, error)                 { return h.f.Read(p) }
func (h *handle) ReadAt(p []byte, offset int64) (int, error) { return h.f.ReadAt(p, offset) }
func (h *handle) Seek(offset int64, whence int) (int64, error) {
	return h.f.Seek(offset, whence)
}

// Write writes where the file stands.
func (h *handle) Write(p []byte) (int, error) {
	offset, err := h.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	n, err := h.WriteAt(p, offset)
	if _, again := h.f.Seek(offset+int64(n), io.SeekStart); err == nil {
		err = again
	}
	return n, err
}

// WriteAt implements files.Handle.
func (h *handle) WriteAt(p []byte, offset int64) (int, error) {
	kind, fault := h.d.begin("write", h.path)
	defer h.d.mu.Unlock()
	if fault != nil && (kind != Short || len(p) == 0) {
		return 0, fault
	}
	if fault != nil {
		p = p[:len(p)/2]
	}
	n, err := h.f.WriteAt(p, offset)
	if n > 0 {
		h.node.pending = append(h.node.pending, write{data: append([]byte{}, p[:n]...), offset: offset})
	}
	if fault != nil {
		err = fault
	}
	return n, err
}

// Truncate implements files.Handle.
func (h *handle) Truncate(size int64) error {
	_, fault := h.d.begin("truncate", h.path)
	defer h.d.mu.Unlock()
	if fault != nil {
		return fault
	}
	if err := h.f.Truncate(size); err != nil {
		return err
	}
	h.node.pending = append(h.node.pending, write{offset: size})
	return nil
}

// Sync implements files.Handle.
func (h *handle) Sync() error {
	_, fault := h.d.begin("sync", h.path)
	defer h.d.mu.Unlock()
	if fault != nil {
		return fault
	}
	for _, w := range h.node.pending {
		h.node.durable = w.apply(h.node.durable)
	}
	h.node.pending = nil
	return nil
}

// Close implements files.Handle. The file is closed also where it fails.
func (h *handle) Close() error {
	_, fault := h.d.begin("close", h.path)
	defer h.d.mu.Unlock()
	err := h.f.Close()
	if fault != nil {
		return fault
	}
	return err
}
