package walkers

import "math"

// joint is a place on a body: x to the person's left, y down from the top of
// the head, z ahead; a body is 1 tall.
type joint struct{ x, y, z float64 }

// pose is how a walking body stands at a moment.
type pose struct {
	yaw   float64 // 0 faces the camera, pi shows the back
	phase float64 // of the steps
	swing float64 // of legs and arms, 0 stands still
	lean  float64 // of the trunk, sideways
}

// view says where a body appears in the picture.
type view struct {
	top    point   // of the head
	height float64 // of the body, in pixels
	aspect float64 // width of a pixel over its height, before the picture was scaled
	pitch  float64 // of a camera above: makes heads large and legs short
}

// at projects a point given by its place across the body and its height, in
// heights of the body.
func (v *view) at(x, y float64) point {
	return point{v.top.x + v.height*v.aspect*x, v.top.y + v.height*(y+v.pitch*y*(1-y))}
}

// figure draws a person in a pose.
type figure struct {
	*person
	pose
	view
	c        *canvas
	sin, cos float64 // of the yaw
	side     float64 // where light comes from, -1 left to 1 right
}

func newFigure(c *canvas, p *person, at pose, v view, side float64) *figure {
	f := &figure{person: p, pose: at, view: v, c: c, side: side}
	f.sin, f.cos = math.Sincos(at.yaw)
	return f
}

// across projects a width x and a depth z of the body.
func (f *figure) across(x, z float64) float64 { return x*f.cos + z*f.sin }

// depth is how near to the camera a place is.
func (f *figure) depth(j joint) float64 { return -j.x*f.sin + j.z*f.cos }

// place projects a point given by its place across and its height.
func (f *figure) place(x, y float64) point { return f.at(x+f.lean*(0.95-y), y) }

func (f *figure) project(j joint) point { return f.place(f.across(j.x, j.z), j.y) }

// size is a width in pixels.
func (f *figure) size(w float64) float64 { return f.height * f.aspect * w }

// half is the half width that a trunk of those half width and depth shows.
func (f *figure) half(width, depth float64) float64 {
	return math.Hypot(width*f.cos, depth*f.sin) * f.width
}

// shaded darkens a colour towards the outline of a body part around axis, and
// on the side away from the light.
func (f *figure) shaded(of paint, axis, radius float64) paint {
	return func(x, y float64) colour {
		u := min(max((x-axis)/max(radius, 0.5), -1), 1)
		return of(x, y).times(1 - 0.22*u*u + 0.14*u*f.side)
	}
}

func (f *figure) limb(a joint, ra float64, b joint, rb float64, of colour) {
	p, q := f.project(a), f.project(b)
	f.c.fill(limb(p, f.size(ra), q, f.size(rb)), f.shaded(plain(of), (p.x+q.x)/2, f.size(ra)+math.Abs(p.x-q.x)/2))
}

func between(a, b joint, t float64) joint {
	return joint{a.x + t*(b.x-a.x), a.y + t*(b.y-a.y), a.z + t*(b.z-a.z)}
}

// draw paints the person from the back to the front.
func (f *figure) draw() {
	frontal := f.cos > 0
	if frontal {
		f.backpack()
	}
	left := 1.0
	if f.sin > 0 { // the left half of the body is the far one
		left = -1
	}
	f.arm(-left)
	f.leg(-left)
	f.leg(left)
	f.skirt()
	if frontal {
		f.longHair()
	}
	f.trunk()
	if f.bag == backpack && frontal {
		f.straps()
	}
	if !frontal {
		f.backpack()
	}
	f.head()
	if !frontal {
		f.longHair()
	}
	f.hatOn()
	f.arm(left)
	f.carried()
}

const (
	hipLine      = 0.5
	shoulderLine = 0.185
	thigh, shank = 0.235, 0.215
)

// leg of the left (1) or right (-1) side.
func (f *figure) leg(side float64) {
	phase := f.phase
	if side < 0 {
		phase += math.Pi
	}
	long := f.legs
	swing := 0.5 * f.swing * f.stride * math.Sin(phase)
	flex := 0.75 * f.swing * max(0, math.Cos(phase))
	hip := joint{side * 0.05 * f.width, hipLine, 0}
	knee := joint{hip.x * 0.95, hip.y + long*thigh*math.Cos(swing), thigh * math.Sin(swing)}
	ankle := joint{hip.x * 0.85, knee.y + long*shank*math.Cos(swing-flex), knee.z + shank*math.Sin(swing-flex)}
	toe := joint{ankle.x * 1.3, ankle.y + 0.035, ankle.z + 0.075}
	heel := joint{ankle.x, ankle.y + 0.03, ankle.z - 0.01}
	wide := 0.5 + 0.5*f.width
	upper, lower := f.skin, f.skin
	cover := 0.0 // of the leg, by trousers
	switch f.lower {
	case trousers:
		upper, lower, cover = f.lowerColour, f.lowerColour, 1
	case shorts:
		cover = f.hem
	}
	f.limb(knee, 0.042*wide, ankle, 0.027*wide, lower)
	f.limb(heel, 0.024, toe, 0.017, f.shoes)
	f.limb(hip, 0.062*wide, knee, 0.043*wide, upper)
	if cover > 0 && cover < 1 {
		f.limb(hip, 0.066*wide, between(hip, knee, min(2*cover, 1)), 0.055*wide, f.lowerColour)
	}
}

func (f *figure) arm(side float64) {
	phase := f.phase
	if side > 0 {
		phase += math.Pi
	}
	swing := 0.55 * f.swing * math.Sin(phase)
	shoulder := joint{side * 0.112 * f.width * f.shoulders, shoulderLine + 0.03, 0}
	elbow := joint{shoulder.x * 1.16, shoulder.y + 0.15*math.Cos(swing), 0.15 * math.Sin(swing)}
	hand := joint{shoulder.x * 1.12, elbow.y + 0.14*math.Cos(swing+0.3), elbow.z + 0.14*math.Sin(swing+0.3)}
	wide := 0.5 + 0.5*f.width
	f.limb(between(elbow, hand, 0.95), 0.02, hand, 0.021, f.skin)
	f.limb(elbow, 0.027*wide, hand, 0.02*wide, f.skin)
	f.limb(shoulder, 0.034*wide, elbow, 0.028*wide, f.skin)
	sleeve := f.upperColour
	if f.upper == blockedUpper {
		sleeve = f.second
	}
	if f.sleeve > 0 {
		f.limb(shoulder, 0.038*wide, between(shoulder, elbow, min(2*f.sleeve, 1)), 0.034*wide, sleeve)
	}
	if f.sleeve > 0.5 {
		f.limb(elbow, 0.033*wide, between(elbow, hand, 2*f.sleeve-1), 0.025*wide, sleeve)
	}
}

// cloth is the paint of the upper part, in the picture.
func (f *figure) cloth() paint {
	from, to := f.place(0, shoulderLine).y, f.place(0, hipLine+0.04).y
	centre := f.place(f.across(0, 0.03), 0.35).x
	half := f.size(f.half(0.115, 0.08))
	// u runs around the trunk, 0 ahead of the person; v from the shoulders to the hip.
	around := func(x float64) float64 {
		return math.Asin(min(max((x-centre)/half, -1), 1)) - f.yaw
	}
	down := func(y float64) float64 { return (y - from) / (to - from) }
	wave := func(t float64) bool { return t-math.Floor(t) < 0.5 }
	choose := func(second bool) colour {
		if second {
			return f.second
		}
		return f.upperColour
	}
	switch f.upper {
	case bandedUpper:
		return func(_, y float64) colour { return choose(wave(f.bands * down(y))) }
	case stripedUpper:
		return func(x, _ float64) colour { return choose(wave(f.bands * around(x) / 2)) }
	case checkedUpper:
		return func(x, y float64) colour {
			a, b := wave(f.bands*down(y)), wave(f.bands*around(x)/2)
			if a != b {
				return f.upperColour.towards(f.second, 0.5)
			}
			return choose(a)
		}
	case blockedUpper:
		return func(_, y float64) colour { return choose(down(y) < 0.42) }
	case logoUpper:
		return func(x, y float64) colour {
			u := math.Remainder(around(x), 2*math.Pi)
			return choose(math.Hypot(u/0.55, (down(y)-0.35)/0.16) < 1)
		}
	case openJacket:
		return func(x, y float64) colour {
			u := math.Remainder(around(x), 2*math.Pi)
			return choose(math.Abs(u) < 0.2+0.25*down(y))
		}
	}
	return plain(f.upperColour)
}

func (f *figure) trunk() {
	z := f.across(0, 0.01)
	neck, shoulder := f.half(0.035, 0.04)/f.width, f.half(0.118*f.shoulders, 0.055)
	chest, waist, hip := f.half(0.112, 0.075), f.half(0.092, 0.068), f.half(0.1, 0.078)
	bottom := hipLine + 0.035
	if f.upper == openJacket {
		bottom += 0.03
	}
	head := f.place(z, 0.13)
	f.c.fill(limb(head, f.size(0.033), f.place(z, 0.19), f.size(0.036)), plain(f.skin.times(0.85)))
	shape := []point{
		f.place(z-neck, 0.158), f.place(z+neck, 0.158), f.place(z+shoulder, shoulderLine), f.place(z+chest, 0.27),
		f.place(z+waist, 0.39), f.place(z+hip, 0.49), f.place(z+hip, bottom), f.place(z-hip, bottom),
		f.place(z-hip, 0.49), f.place(z-waist, 0.39), f.place(z-chest, 0.27), f.place(z-shoulder, shoulderLine),
	}
	f.c.fill(rounded(shape), f.shaded(f.cloth(), f.place(z, 0.35).x, f.size(chest)))
}

func (f *figure) skirt() {
	if f.lower != skirt && f.lower != dress {
		return
	}
	waist, hip := f.half(0.085, 0.065), f.half(0.1, 0.08)
	end := hipLine + f.hem*(thigh+shank)
	hem := f.half(0.12+0.05*f.hem, 0.115+0.05*f.hem)
	sway := 0.012 * f.swing * math.Sin(f.phase)
	shape := []point{
		f.place(-waist, 0.42), f.place(waist, 0.42), f.place(hip, 0.5), f.place(hem+sway, end), f.place(-hem+sway, end), f.place(-hip, 0.5),
	}
	f.c.fill(shape, f.shaded(plain(f.lowerColour), f.place(0, 0.6).x, f.size(hem)))
}

// longHair hangs behind the face and over the back.
func (f *figure) longHair() {
	if f.hairLength < 0.5 {
		return
	}
	top, end := f.place(f.across(0, -0.018), 0.07), f.place(f.across(0, -0.03), 0.11+0.1*f.hairLength)
	r := f.size(math.Hypot(0.048*f.cos, 0.044*f.sin))
	f.c.fill(limb(top, r*1.05, end, r*0.95), f.shaded(plain(f.hair), top.x, r))
}

// skull is the head's outline, an ellipse.
func (f *figure) skull() (centre point, rx, ry float64) {
	return f.place(f.across(0, 0.012), 0.075), f.size(math.Hypot(0.047*f.cos, 0.056*f.sin)), f.height * (1 + f.pitch) * 0.062
}

func (f *figure) head() {
	centre, rx, ry := f.skull()
	f.c.fill(ellipse(centre, rx, ry), f.shaded(plain(f.skin), centre.x, rx))
	if f.hairLength > 0 {
		// Hair covers the skull but for the face, which looks ahead.
		face := point{centre.x + rx*0.75*f.sin, centre.y + ry*0.3}
		open := max(0, 0.55+0.6*f.cos)
		f.c.fill(ellipse(point{centre.x, centre.y - ry*0.08}, rx*1.08, ry*1.02), func(x, y float64) colour {
			d := math.Hypot((x-face.x)/(rx*0.92*open+1e-9), (y-face.y)/(ry*0.85))
			if d < 1 {
				return f.skin.times(1 + 0.1*f.side*(x-centre.x)/rx)
			}
			return f.hair
		})
		if f.cos > -0.2 {
			chin := ellipse(point{centre.x + rx*0.12*f.sin, centre.y + ry*0.45}, rx*0.8*min(1, 0.6+f.cos), ry*0.55)
			f.c.fill(chin, f.shaded(plain(f.skin), centre.x, rx))
		}
	}
}

func (f *figure) hatOn() {
	if f.hat == noHat {
		return
	}
	centre, rx, ry := f.skull()
	crown := f.shaded(plain(f.hatColour), centre.x, rx)
	f.c.fill(rounded([]point{
		{centre.x - 1.15*rx, centre.y - 0.25*ry}, {centre.x - 1.1*rx, centre.y - 1.15*ry},
		{centre.x + 1.1*rx, centre.y - 1.15*ry}, {centre.x + 1.15*rx, centre.y - 0.25*ry},
	}), crown)
	brim := plain(f.hatColour.times(0.75))
	if f.hat == brimmedHat {
		f.c.fill(ellipse(point{centre.x, centre.y - 0.3*ry}, rx*1.75, ry*0.22), brim)
	} else if f.cos > -0.5 {
		f.c.fill(ellipse(point{centre.x + rx*f.sin, centre.y - 0.3*ry}, rx*(0.55+0.4*math.Abs(f.sin)), ry*0.16), brim)
	}
}

func (f *figure) backpack() {
	if f.bag != backpack {
		return
	}
	z := f.across(0, -0.095*f.width)
	half := f.half(0.09, 0.06)
	shape := []point{
		f.place(z-half*0.8, 0.19), f.place(z+half*0.8, 0.19), f.place(z+half, 0.28), f.place(z+half, 0.43), f.place(z-half, 0.43), f.place(z-half, 0.28),
	}
	f.c.fill(rounded(shape), f.shaded(plain(f.bagColour), f.place(z, 0.3).x, f.size(half)))
	if f.cos < 0 {
		pocket := rectangle(f.place(z-half*0.6, 0.34).x, f.place(z, 0.34).y, f.place(z+half*0.6, 0.41).x, f.place(z, 0.41).y)
		f.c.fill(pocket, plain(f.bagColour.times(0.75)))
	}
}

func (f *figure) straps() {
	for _, side := range []float64{-1, 1} {
		x := side * 0.06 * f.width
		a, b := f.project(joint{x, 0.165, 0.02}), f.project(joint{x * 1.1, 0.33, 0.06})
		f.c.fill(limb(a, f.size(0.013), b, f.size(0.013)), plain(f.bagColour.times(0.85)))
	}
}

// carried draws a bag at the side; on the far side the body hides most of it.
func (f *figure) carried() {
	side := 1.0
	if f.right {
		side = -1
	}
	at := joint{side * 0.15 * f.width, 0, 0}
	if f.depth(at) < -0.06 {
		return
	}
	draw := func(from, to, half float64) {
		x := f.across(at.x, 0)
		f.c.fill(rounded([]point{f.place(x-half, from), f.place(x+half, from), f.place(x+half*1.15, to), f.place(x-half*1.15, to)}),
			f.shaded(plain(f.bagColour), f.place(x, from).x, f.size(half)))
	}
	switch f.bag {
	case shoulderBag:
		a, b := f.project(joint{-at.x * 0.5, 0.165, 0.03}), f.project(joint{at.x, 0.44, 0.03})
		f.c.fill(limb(a, f.size(0.011), b, f.size(0.011)), plain(f.bagColour.times(0.8)))
		draw(0.43, 0.55, 0.055)
	case handbag:
		draw(0.535, 0.64, 0.06)
	}
}
