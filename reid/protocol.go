package reid

import (
	"cmp"
	"fmt"
	"slices"
)

// protocol knows which images of the gallery are good, junk and wrong for a
// query. Columns are rows of the gallery from lo to hi, counted from lo.
type protocol struct {
	query, gallery []Label
	zeroIsIdentity bool
	lo, hi         int
	junk           []int32        // columns of identity Junk
	people         map[ID][]int32 // columns of an identity, ascending
	most           int            // images of an identity
	cameras        map[ID]int32   // cameras of the gallery, numbered in their order
	cameraOf       []int32        // number of the camera, by column
	junkCount      int            // in the gallery
	distractors    int            // in the gallery
}

// newProtocol indexes the gallery. With trim, lo and hi leave out the junk that
// the gallery starts and ends with: sorted by file name, all junk is in front.
func newProtocol(query, gallery []Label, zeroIsIdentity, trim bool) *protocol {
	p := &protocol{query: query, gallery: gallery, zeroIsIdentity: zeroIsIdentity, hi: len(gallery),
		people: make(map[ID][]int32), cameras: make(map[ID]int32)}
	for trim && p.lo < p.hi && gallery[p.lo].PID == Junk {
		p.lo++
	}
	for trim && p.lo < p.hi && gallery[p.hi-1].PID == Junk {
		p.hi--
	}
	p.junkCount = len(gallery) - (p.hi - p.lo)
	var cameras []ID
	for _, l := range gallery[p.lo:p.hi] {
		cameras = append(cameras, l.Camera)
	}
	slices.SortFunc(cameras, ID.Compare)
	for i, c := range slices.Compact(cameras) {
		p.cameras[c] = int32(i)
	}
	for j, l := range gallery[p.lo:p.hi] {
		p.cameraOf = append(p.cameraOf, p.cameras[l.Camera])
		switch {
		case l.PID == Junk:
			p.junk = append(p.junk, int32(j))
		case l.PID == Unknown:
		case p.person(l.PID):
			p.people[l.PID] = append(p.people[l.PID], int32(j))
			p.most = max(p.most, len(p.people[l.PID]))
		default:
			p.distractors++
		}
	}
	p.junkCount += len(p.junk)
	return p
}

func (p *protocol) columns() int { return p.hi - p.lo }

func (p *protocol) person(pid ID) bool {
	return pid.Person() || pid == Distractor && p.zeroIsIdentity
}

// same returns the columns of a query's identity, good and junk.
func (p *protocol) same(query int) []int32 {
	if pid := p.query[query].PID; p.person(pid) {
		return p.people[pid]
	}
	return nil
}

// good reports whether a column of a query's identity is a match.
func (p *protocol) good(query int, column int32) bool {
	camera := p.query[query].Camera
	return camera == Unknown || p.gallery[p.lo+int(column)].Camera != camera
}

// pairs counts the matches of a query and its wrong images.
func (p *protocol) pairs(query int) (good, wrong int) {
	if !p.person(p.query[query].PID) {
		return 0, 0
	}
	same := p.same(query)
	for _, j := range same {
		if p.good(query, j) {
			good++
		}
	}
	return good, p.columns() - len(p.junk) - len(same)
}

// cameraLists makes an empty list for each query, with room for the cameras of
// its matches. Where cameras are as many as images, a table would be quadratic.
func (p *protocol) cameraLists() [][]cameraAP {
	room := make([]int, len(p.query))
	all := 0
	for q := range room {
		good, _ := p.pairs(q)
		room[q] = min(good, len(p.cameras))
		all += room[q]
	}
	memory := make([]cameraAP, all)
	lists := make([][]cameraAP, len(room))
	for q, n := range room {
		lists[q], memory = memory[:0:n], memory[n:]
	}
	return lists
}

// explain says why no query has a match.
func (p *protocol) explain(queryName, galleryName string) error {
	people, known := 0, 0
	for i, l := range p.query {
		if p.person(l.PID) {
			people++
		}
		if len(p.same(i)) > 0 {
			known++
		}
	}
	queryName, galleryName = cmp.Or(queryName, "query"), cmp.Or(galleryName, "gallery")
	switch {
	case people == 0:
		return fmt.Errorf("%w: all %d rows of %s are junk or distractors; check its identities", ErrNoMatch, len(p.query), queryName)
	case known == 0:
		return fmt.Errorf("%w: none of the %d images of people in %s has its identity in %s; check that both are of the same split and numbering", ErrNoMatch, people, queryName, galleryName)
	default:
		return fmt.Errorf("%w: %d rows of %s have their identity in %s, but seen by the query's own camera alone, which does not count; check the cameras", ErrNoMatch, known, queryName, galleryName)
	}
}
