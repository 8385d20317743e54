package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	pageSize    = 4096
	commitPages = 2
	// logStart is where the records start.
	logStart = pageSize * (1 + commitPages)

	magic = "dmlgalry"
	// version of galleries that were never compacted, and of others, whose header
	// goes on with which compaction made it, and the gallery's identity.
	version          = 1
	compactedVersion = 2

	// MostFeatures bounds the features of an image.
	MostFeatures = 1 << 16
	// longestFingerprint leaves room in the header's page.
	longestFingerprint = 2048
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

var little = binary.LittleEndian

// Header is what a gallery is made for.
type Header struct {
	Dim         int    // features of an image
	Fingerprint string // of what computes them

	compactions uint64   // 0 in version 1
	id          [16]byte // the same after each; in version 1 it follows from the page
}

// features is the name of the file of features.
func (h Header) features() string {
	if h.compactions == 0 {
		return featuresFile
	}
	return fmt.Sprintf("features.%d.f32", h.compactions)
}

// Check returns the first fault.
func (h Header) Check() error {
	if h.Dim < 1 || h.Dim > MostFeatures {
		return fmt.Errorf("%d features an image; a gallery takes 1 to %d", h.Dim, MostFeatures)
	}
	if h.Fingerprint == "" {
		return errors.New("the fingerprint is empty; it says which model and preprocessing compute the features")
	}
	if len(h.Fingerprint) > longestFingerprint {
		return fmt.Errorf("the fingerprint has %d bytes; a gallery takes %d", len(h.Fingerprint), longestFingerprint)
	}
	return nil
}

// sealed is a page that ends with its checksum.
func sealed(content []byte) []byte {
	page := make([]byte, pageSize)
	copy(page[:pageSize-4], content)
	little.PutUint32(page[pageSize-4:], checksum(page[:pageSize-4]))
	return page
}

func (h Header) encode() ([]byte, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	b, v := []byte(magic), uint32(version)
	if h.compactions > 0 {
		v = compactedVersion
	}
	b = little.AppendUint32(b, v)
	b = little.AppendUint32(b, uint32(h.Dim))
	b = little.AppendUint32(b, uint32(len(h.Fingerprint)))
	b = append(b, h.Fingerprint...)
	if h.compactions > 0 {
		b = append(little.AppendUint64(b, h.compactions), h.id[:]...)
	}
	return sealed(b), nil
}

// decodeHeader returns a reason if the page is none.
func decodeHeader(page []byte) (Header, string) {
	if string(page[:len(magic)]) != magic {
		return Header{}, "this is not a gallery's log"
	}
	if checksum(page[:pageSize-4]) != little.Uint32(page[pageSize-4:]) {
		return Header{}, "the checksum of the header is wrong"
	}
	b := page[len(magic):]
	v := little.Uint32(b)
	if v != version && v != compactedVersion {
		return Header{}, fmt.Sprintf("version %d of the format is unknown; this program knows versions %d and %d", v, version, compactedVersion)
	}
	h := Header{Dim: int(little.Uint32(b[4:]))}
	if length := little.Uint32(b[8:]); length <= longestFingerprint {
		h.Fingerprint = string(b[12 : 12+length])
		if v == compactedVersion {
			h.compactions = little.Uint64(b[12+length:])
			copy(h.id[:], b[12+length+8:])
		}
	}
	if v == version {
		sum := sha256.Sum256(page)
		copy(h.id[:], sum[:])
	} else if h.compactions == 0 {
		return Header{}, "the header does not say which compaction made it"
	}
	if err := h.Check(); err != nil {
		return Header{}, err.Error()
	}
	return h, ""
}

// commit says how far the files are committed.
type commit struct {
	generation uint64 // changes since the gallery was created
	end        int64  // of the log
	rows       int64
	chain      uint32 // checksum of the last record, which continues all others
}

const commitSize = 8 + 8 + 8 + 4 + 4

// copies is where in its page a commit stands, so that damage to one copy of the
// newest does not bring the one before to light. The second is written when the
// first is durable: a page whose copies are both wrong is damaged, not cut off.
var copies = [...]int64{0, pageSize / 2}

// pageOffset is where in the log the page of the commit is.
func (c commit) pageOffset() int64 { return pageSize * int64(1+c.generation%commitPages) }

func (c commit) encode() []byte {
	b := little.AppendUint64(nil, c.generation)
	b = little.AppendUint64(b, uint64(c.end))
	b = little.AppendUint64(b, uint64(c.rows))
	b = little.AppendUint32(b, c.chain)
	return little.AppendUint32(b, checksum(b))
}

// page is the whole of a commit's page.
func (c commit) page() []byte {
	page := make([]byte, pageSize)
	for _, at := range copies {
		copy(page[at:], c.encode())
	}
	return page
}

func decodeCommit(b []byte) (commit, bool) {
	sum := little.Uint32(b[commitSize-4:])
	c := commit{
		generation: little.Uint64(b), end: int64(little.Uint64(b[8:])), rows: int64(little.Uint64(b[16:])),
		chain: little.Uint32(b[24:]),
	}
	return c, checksum(b[:commitSize-4]) == sum && c.end >= logStart && c.rows >= 0
}

// commits is what the two pages hold.
type commits struct {
	newest commit
	sure   bool // the newest stands twice, so it is durable
	lost   bool // a page, which may be that of a newer one, holds none
}

// decodeCommits reports also whether there is any.
func decodeCommits(pages []byte) (found commits, any bool) {
	for page := range int64(commitPages) {
		here := 0
		for _, at := range copies {
			c, ok := decodeCommit(pages[page*pageSize+at:])
			if !ok {
				continue
			}
			here++
			if !any || c.generation > found.newest.generation {
				found.newest, found.sure, any = c, false, true
			} else if c == found.newest {
				found.sure = true
			}
		}
		found.lost = found.lost || here == 0
	}
	return found, any
}
