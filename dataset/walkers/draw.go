package walkers

import (
	"image"
	"math"

	"github.com/deepmutual/dml/dataset/identities"
)

// effects are how strongly the difficulty makes images differ.
type effects struct {
	light  float64 // of cameras
	sensor float64 // blur and noise
	box    float64 // error of the detector's boxes, as a fraction of their size
	hidden float64 // probability that something is in front of the person
	turned float64 // how far people turn from the direction they walk in
}

var difficulties = map[Difficulty]effects{
	Easy:   {light: 0.06, sensor: 0.4, box: 0.02, hidden: 0.05, turned: 0.2},
	Medium: {light: 0.16, sensor: 0.8, box: 0.05, hidden: 0.15, turned: 0.5},
	Hard:   {light: 0.26, sensor: 1.2, box: 0.09, hidden: 0.3, turned: 0.8},
}

// Draw draws one of the set's images, Width x Height pixels. It depends on
// nothing but the options' seed and difficulty, and on the image: any number of
// goroutines may draw at once.
func (s *Set) Draw(m Image) *image.RGBA {
	key := []int{m.PID, m.Camera, m.Frame}
	random := func(of stream) *random { return newRandom(s.opts.Seed, of, key...) }
	cam := s.cameras[m.Camera-1]
	c := new(canvas)
	c.background(cam.place(random(streamTexture).Between(0, 160)))
	v := s.box(cam, m, random(streamBox))
	hide := random(streamHide)
	if p := s.walker(m, random); p == nil {
		s.clutter(c, v, hide)
	} else {
		s.walk(c, cam, p, v, m, random(streamPose))
		if hide.chance(s.effects.hidden) {
			s.hide(c, cam, v, hide)
		}
	}
	cam.expose(&c.pix, random(streamSensor), s.effects)
	img := image.NewRGBA(image.Rect(0, 0, Width, Height))
	for i, p := range c.pix {
		for k, x := range p {
			img.Pix[4*i+k] = uint8(255*min(max(x, 0), 1) + 0.5)
		}
		img.Pix[4*i+3] = 255
	}
	return img
}

// walker returns who is to be seen; nil for a false alarm of the detector.
func (s *Set) walker(m Image, random func(stream) *random) *person {
	switch {
	case m.PID > 0:
		return s.people[m.PID-1]
	case m.PID == identities.Junk: // a bad box around a person of the test
		return s.people[s.opts.TrainIdentities+random(streamJunk).IntN(s.opts.TestIdentities)]
	}
	r := random(streamStranger)
	if r.chance(0.4) {
		return nil
	}
	return newPerson(r)
}

// box places a body in the picture as the box around it was drawn: well by hand
// (box 0), worse by a detector, and badly where it is junk.
func (s *Set) box(cam *camera, m Image, r *random) view {
	height, dx, dy := 0.92+0.02*r.bell(), 0.015*r.bell(), 0.008*r.bell()
	if m.Box != 0 {
		e := s.effects.box
		height *= math.Exp(1.2 * e * r.bell())
		dx += 0.8 * e * r.bell()
		dy += e * r.bell()
	}
	if m.PID == identities.Junk {
		height *= r.Between(1.5, 2.2)
		dx += r.Between(-0.35, 0.35)
		dy += r.Between(-0.4, 0.1)
	}
	v := view{height: height * Height, pitch: cam.pitch, aspect: cam.aspect}
	v.top = point{Width * (0.5 + dx), (Height-v.height)/2 + dy*Height}
	if m.PID == identities.Junk {
		v.top.y = 0.04*Height + dy*Height
	}
	return v
}

// walk draws a person and the shadow. A person passes a camera in one
// direction, and turns a little on the way.
func (s *Set) walk(c *canvas, cam *camera, p *person, v view, m Image, r *random) {
	direction := newRandom(s.opts.Seed, streamPose, m.PID, m.Camera)
	yaw := direction.Between(0, 2*math.Pi) + s.effects.turned*r.bell()
	at := pose{yaw: yaw, phase: r.Between(0, 2*math.Pi), swing: r.Between(0.5, 1), lean: 0.02 * r.bell()}
	feet := v.at(0.1*cam.side, 0.985)
	dark(c, ellipse(feet, 0.2*v.height*v.aspect, 0.018*v.height), 0.4)
	newFigure(c, p, at, v, cam.side).draw()
}
