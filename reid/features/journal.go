package features

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

// entry of the journal: a batch that is done. Its rows are in the file of its
// part before the entry is written, so that a torn end of either is told by the
// checksum and done again.
type entry struct {
	Part    string         `json:"part"`
	Batch   int            `json:"batch"`
	Rows    int            `json:"rows"`
	CRC     uint32         `json:"crc"`               // CRC-32C of the rows' bytes
	Skipped []skippedImage `json:"skipped,omitempty"` // by index in the part
}

type skippedImage struct {
	Image  int    `json:"image"`
	Reason string `json:"reason"`
}

// partProgress is what is done of a part.
type partProgress struct {
	batches int
	rows    int
	skipped []skippedImage
}

// note adds a batch.
func (p *partProgress) note(rows int, skipped []skippedImage) {
	p.batches, p.rows, p.skipped = p.batches+1, p.rows+rows, append(p.skipped, skipped...)
}

// progress is what is done, by part.
type progress map[string]*partProgress

func newProgress(parts []ImagesPart) progress {
	p := make(progress)
	for _, part := range parts {
		p[part.Name] = new(partProgress)
	}
	return p
}

// journal is the partial work in a folder.
type journal struct {
	progress
	dir   string
	batch int // images in one
	width int // bytes of a row
	file  *os.File
	open  string   // the part whose rows are being written
	rows  *os.File // of it
	buf   []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal reads what is done, and cuts off what is not whole.
func openJournal(dir string, parts []ImagesPart, batch, dim int) (j *journal, err error) {
	j = &journal{dir: dir, batch: batch, width: 4 * dim, progress: newProgress(parts)}
	if j.file, err = os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.file.Close())
		}
	}()
	good, err := j.replay(parts)
	if err != nil {
		return nil, err
	}
	if err := j.file.Truncate(good); err != nil {
		return nil, err
	}
	if _, err := j.file.Seek(good, io.SeekStart); err != nil {
		return nil, err
	}
	for _, p := range parts {
		err := os.Truncate(j.path(p.Name), int64(j.progress[p.Name].rows*j.width))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return j, nil
}

// path is the file of a part's rows.
func (j *journal) path(part string) string { return filepath.Join(j.dir, part+".rows") }

// replay takes entries as long as they are right, and returns where they end.
func (j *journal) replay(parts []ImagesPart) (int64, error) {
	in := bufio.NewReader(j.file)
	good := int64(0)
	buf := make([]byte, j.batch*j.width)
	for _, p := range parts {
		f, err := os.Open(j.path(p.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return good, nil
		}
		if err != nil {
			return 0, err
		}
		for j.progress[p.Name].batches*j.batch < len(p.Images) {
			line, err := in.ReadBytes('\n')
			if err != nil && err != io.EOF {
				return 0, errors.Join(err, f.Close())
			}
			if err != nil || !j.take(line, p, f, buf) {
				return good, f.Close()
			}
			good += int64(len(line))
		}
		if err := f.Close(); err != nil {
			return 0, err
		}
	}
	return good, nil
}

// take adds an entry to what is done, and reports whether it is the next of the
// part and its rows are whole.
func (j *journal) take(line []byte, p ImagesPart, rows io.ReaderAt, buf []byte) bool {
	var e entry
	done := j.progress[p.Name]
	if json.Unmarshal(line, &e) != nil || e.Part != p.Name || e.Batch != done.batches {
		return false
	}
	start := e.Batch * j.batch
	images := min(j.batch, len(p.Images)-start)
	if e.Rows < 0 || e.Rows+len(e.Skipped) != images {
		return false
	}
	for i, s := range e.Skipped {
		if s.Image < start || s.Image >= start+images || i > 0 && s.Image <= e.Skipped[i-1].Image {
			return false
		}
	}
	if e.Rows > 0 {
		bytes := buf[:e.Rows*j.width]
		if _, err := rows.ReadAt(bytes, int64(done.rows*j.width)); err != nil || crc32.Checksum(bytes, castagnoli) != e.CRC {
			return false
		}
	}
	done.note(e.Rows, e.Skipped)
	return true
}

// put records a batch, its rows first.
func (j *journal) put(part string, rows []float32, skipped []skippedImage) error {
	if j.open != part {
		if err := j.closeRows(); err != nil {
			return err
		}
		f, err := os.OpenFile(j.path(part), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		j.open, j.rows = part, f
	}
	j.buf = j.buf[:0]
	for _, x := range rows {
		j.buf = binary.LittleEndian.AppendUint32(j.buf, math.Float32bits(x))
	}
	if _, err := j.rows.Write(j.buf); err != nil {
		return err
	}
	e := entry{Part: part, Batch: j.progress[part].batches, Rows: len(j.buf) / j.width, CRC: crc32.Checksum(j.buf, castagnoli), Skipped: skipped}
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(e); err != nil { // which ends the line
		return err
	}
	_, err := j.file.Write(line.Bytes())
	return err
}

// images counts those that are done.
func (d progress) images(parts []ImagesPart, batch int) int {
	n := 0
	for _, p := range parts {
		n += min(d[p.Name].batches*batch, len(p.Images))
	}
	return n
}

// skipped lists the images that could not be read.
func (d progress) skipped(parts []ImagesPart) []Skipped {
	out := []Skipped{}
	for _, p := range parts {
		for _, s := range d[p.Name].skipped {
			out = append(out, Skipped{Part: p.Name, Image: p.Images[s.Image].Name, Reason: s.Reason})
		}
	}
	return out
}

// kept returns the indices of the images of a part that have rows.
func (d progress) kept(p ImagesPart) []int {
	out := make([]int, 0, d[p.Name].rows)
	skipped := d[p.Name].skipped
	for i := range p.Images {
		if len(skipped) > 0 && skipped[0].Image == i {
			skipped = skipped[1:]
			continue
		}
		out = append(out, i)
	}
	return out
}

func (j *journal) closeRows() error {
	if j.rows == nil {
		return nil
	}
	f := j.rows
	j.open, j.rows = "", nil
	return f.Close()
}

func (j *journal) close() error {
	if err := errors.Join(j.closeRows(), j.file.Close()); err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}
