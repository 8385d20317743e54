// Package walkers draws a re-identification data set in the layout of
// Market-1501: people who walk past cameras. The pictures are made up, so that
// anybody may have them: to try commands on, and to test with.
//
// Each identity has clothes, a bag, a build and hair of its own; each camera a
// place, a height, light and a sensor; each image a pose, a box as a detector
// would draw it, and at times something in front. Colours alone do not tell who
// is seen, as lights differ; many people wear the same ones.
package walkers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/dataset/identities"
)

// Difficulty says how much images of a person differ: in light, boxes, blur,
// what hides them and where they turn.
type Difficulty string

const (
	Easy   Difficulty = "easy"
	Medium Difficulty = "medium"
	Hard   Difficulty = "hard"
)

// Difficulties lists them, the easiest first.
func Difficulties() []Difficulty { return []Difficulty{Easy, Medium, Hard} }

// Options of a set. The zero value of a field means its default.
type Options struct {
	Seed            uint64     // decides everything; default 1
	TrainIdentities int        // identities to train on; default 60
	TestIdentities  int        // other identities, to query; default 30
	Cameras         int        // at least 2; default 4
	Images          int        // of each person by each camera, for training and in the gallery; default 4
	Difficulty      Difficulty // default Medium
	// Distractors and Junk are images added to the gallery, for every labelled
	// image of it: of people without a query and of no person; and of boxes
	// that miss the person. Default: none of them.
	Distractors, Junk float64
}

// Limits of Options: file names have four digits for an identity.
const (
	MaxPersons = 9999
	MaxCameras = 99
	MaxImages  = 1000
	MaxShare   = 10 // of distractors, and of junk
)

// ErrOptions is wrapped by what Validate returns.
var ErrOptions = errors.New("bad options")

// WithDefaults returns the options with defaults in place of zeros.
func (o Options) WithDefaults() Options {
	o.Seed = cmp.Or(o.Seed, 1)
	o.TrainIdentities = cmp.Or(o.TrainIdentities, 60)
	o.TestIdentities = cmp.Or(o.TestIdentities, 30)
	o.Cameras = cmp.Or(o.Cameras, 4)
	o.Images = cmp.Or(o.Images, 4)
	o.Difficulty = cmp.Or(o.Difficulty, Medium)
	return o
}

// Validate returns all faults of options that have their defaults, joined. Each
// wraps ErrOptions.
func (o Options) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
		}
	}
	// Two, as one tells nobody apart.
	fault(o.TrainIdentities < 2, "%d identities to train on; at least 2", o.TrainIdentities)
	fault(o.TestIdentities < 2, "%d identities to test with; at least 2", o.TestIdentities)
	// Not their sum, which can be past the largest int.
	fault(max(o.TrainIdentities, o.TestIdentities) > MaxPersons || o.TrainIdentities > MaxPersons-o.TestIdentities, "%d identities to train on and %d to test with; at most %d in all", o.TrainIdentities, o.TestIdentities, MaxPersons)
	fault(o.Cameras < 2 || o.Cameras > MaxCameras, "%d cameras; 2 to %d, as a match is by another camera", o.Cameras, MaxCameras)
	fault(o.Images < 1 || o.Images > MaxImages, "%d images of each person by each camera; 1 to %d", o.Images, MaxImages)
	fault(!(o.Distractors >= 0 && o.Distractors <= MaxShare), "a share of distractors of %v; 0 to %d", o.Distractors, MaxShare)
	fault(!(o.Junk >= 0 && o.Junk <= MaxShare), "a share of junk of %v; 0 to %d", o.Junk, MaxShare)
	fault(!slices.Contains(Difficulties(), o.Difficulty), "difficulty %q; one of %v", o.Difficulty, Difficulties())
	return errors.Join(faults...)
}

// Image is one of a set.
type Image struct {
	Part identities.Part
	identities.Name
}

// File is the image's path below the set's folder, with forward slashes.
func (m Image) File() string {
	pid := "-1"
	if m.PID != identities.Junk {
		pid = fmt.Sprintf("%04d", m.PID)
	}
	return fmt.Sprintf("%s/%s_c%ds%d_%06d_%02d.jpg", m.Part.Folder(), pid, m.Camera, m.Sequence, m.Frame, m.Box)
}

// Set is a data set to draw. It is not changed once made, so that any number of
// goroutines may use it.
type Set struct {
	opts    Options
	effects effects
	people  []*person // by identity - 1: those to train on first
	cameras []*camera // by number - 1
	images  []Image
}

// New plans a set; nothing is drawn yet.
func New(opts Options) (*Set, error) {
	opts = opts.WithDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Set{opts: opts, effects: difficulties[opts.Difficulty]}
	for i := range opts.TrainIdentities + opts.TestIdentities {
		s.people = append(s.people, newPerson(newRandom(opts.Seed, streamPerson, i)))
	}
	for i := range opts.Cameras {
		s.cameras = append(s.cameras, newCamera(newRandom(opts.Seed, streamCamera, i), s.effects))
	}
	s.plan()
	return s, nil
}

// Options returns what the set was made of, defaults in place.
func (s *Set) Options() Options { return s.opts }

// Images lists the images, each part's together. The caller must not change it.
func (s *Set) Images() []Image { return s.images }

// frame numbers are apart by the second that lies between two of Market-1501's.
const frame = 25

// plan lists the images. Of each person of the test, each camera has one query
// and further images in the gallery; the part for multiple queries has all of
// them once more, in boxes drawn by hand.
func (s *Set) plan() {
	o := s.opts
	add := func(part identities.Part, pid, camera, at, box int) {
		name := identities.Name{PID: pid, Camera: camera, Sequence: 1, Frame: 1 + frame*at, Box: box}
		s.images = append(s.images, Image{Part: part, Name: name})
	}
	each := func(from, n int, do func(pid, camera int)) {
		for i := range n {
			for c := range o.Cameras {
				do(from+i+1, c+1)
			}
		}
	}
	each(0, o.TrainIdentities, func(pid, camera int) {
		for k := range o.Images {
			add(identities.Train, pid, camera, k, 1)
		}
	})
	each(o.TrainIdentities, o.TestIdentities, func(pid, camera int) { add(identities.Query, pid, camera, 0, 0) })
	each(o.TrainIdentities, o.TestIdentities, func(pid, camera int) {
		for k := range o.Images {
			add(identities.Gallery, pid, camera, k+1, 1)
		}
	})
	labelled := o.TestIdentities * o.Cameras * o.Images
	extra := func(pid int, share float64, box int) {
		for i := range int(share*float64(labelled) + 0.5) {
			add(identities.Gallery, pid, 1+i%o.Cameras, i/o.Cameras, box)
		}
	}
	extra(identities.Distractor, o.Distractors, 1)
	extra(identities.Junk, o.Junk, 2)
	each(o.TrainIdentities, o.TestIdentities, func(pid, camera int) {
		for k := range o.Images + 1 {
			add(identities.MultiQuery, pid, camera, k, 0)
		}
	})
}
