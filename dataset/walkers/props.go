package walkers

import "math"

// dark paints a shadow.
func dark(c *canvas, shape []point, strength float64) {
	c.fill(shape, func(x, y float64) colour { return c.pix[int(y)*Width+int(x)].times(1 - strength) })
}

// hide puts something in front of the person.
func (s *Set) hide(c *canvas, cam *camera, v view, r *random) {
	switch r.IntN(4) {
	case 0:
		pole(c, cam.detail, r)
	case 1:
		bicycle(c, point{v.top.x + r.Between(-0.25, 0.25)*Width, 0}, r)
	case 2:
		bush(c, r)
	default: // somebody else, walking past
		side := math.Copysign(1, r.Between(-1, 1))
		v.top.x += side * r.Between(0.42, 0.6) * Width
		v.top.y += r.Between(0, 0.08) * Height
		v.height *= r.Between(0.95, 1.1)
		at := pose{yaw: r.Between(0, 2*math.Pi), phase: r.Between(0, 2*math.Pi), swing: r.Between(0.5, 1)}
		newFigure(c, newPerson(r), at, v, cam.side).draw()
	}
}

// clutter is what a detector takes for a person.
func (s *Set) clutter(c *canvas, v view, r *random) {
	switch r.IntN(3) {
	case 0:
		pole(c, r.dye([]colour{grey, darkGrey, green, brown}), r)
	case 1:
		bicycle(c, point{v.top.x, 0}, r)
	default: // a tree
		trunk := r.Between(0.3, 0.7) * Width
		c.fill(limb(point{trunk, 0.35 * Height}, 4, point{trunk + r.Between(-6, 6), Height}, 6), plain(brown))
		leaves(c, rounded(ellipse(point{trunk, 0.28 * Height}, r.Between(16, 30), r.Between(20, 34))), r)
	}
}

func pole(c *canvas, of colour, r *random) {
	x, half := r.Between(0.15, 0.85)*Width, r.Between(2, 5)
	c.fill(rectangle(x-half, 0, x+half, Height), func(px, _ float64) colour {
		u := (px - x) / half
		return of.times(1.05 - 0.35*u*u)
	})
}

// bicycle is seen from its side.
func bicycle(c *canvas, at point, r *random) {
	frame := r.dye([]colour{red, blue, black, white, green, yellow, teal})
	radius := r.Between(13, 18)
	y := r.Between(0.84, 0.9) * Height
	ahead := math.Copysign(1, r.Between(-1, 1))
	rear, front := point{at.x - ahead*1.25*radius, y}, point{at.x + ahead*1.25*radius, y}
	for _, hub := range []point{rear, front} {
		rim := ellipse(hub, radius, radius)
		for i, p := range rim {
			c.fill(limb(p, 1.3, rim[(i+1)%len(rim)], 1.3), plain(black))
		}
	}
	pedals := point{at.x, y}
	saddle, bar := point{at.x - ahead*0.5*radius, y - 1.5*radius}, point{at.x + ahead*0.85*radius, y - 1.6*radius}
	for _, tube := range [][2]point{{rear, pedals}, {rear, saddle}, {saddle, pedals}, {pedals, bar}, {saddle, bar}, {bar, front}} {
		c.fill(limb(tube[0], 1.2, tube[1], 1.2), plain(frame))
	}
	c.fill(limb(point{saddle.x - 4, saddle.y - 2}, 1.6, point{saddle.x + 4, saddle.y - 2}, 1.6), plain(black))
	c.fill(limb(point{bar.x - ahead*4, bar.y - 3}, 1.2, point{bar.x + ahead*2, bar.y - 1}, 1.2), plain(black))
}

// bush hides legs, or a part of them.
func bush(c *canvas, r *random) {
	centre := point{r.Between(0.1, 0.9) * Width, Height}
	leaves(c, ellipse(centre, r.Between(16, 34), r.Between(22, 46)), r)
}

func leaves(c *canvas, shape []point, r *random) {
	t := texture(r.Uint64())
	c.fill(shape, func(x, y float64) colour {
		return colour{.1, .22, .09}.towards(colour{.42, .52, .25}, t.at(x/3, y/3))
	})
}
