package walkers

import "math"

// The kinds of places that cameras look at.
const (
	bricks = iota
	glass
	hedge
	plaster
	lawn
	street
	sceneKinds
)

// camera is a place, its light, and how the camera there renders it.
type camera struct {
	scene         int
	wall, detail  colour
	ground        colour
	horizon       float64 // where wall and ground meet, as a fraction of the height
	texture       texture
	spacing       float64 // of what repeats along the wall, in pixels
	tiled         bool
	light         colour // gain of each channel
	side          float64
	contrast      float64 // above 0 lifts middle tones, below 0 lowers them; less than 1 apart
	saturation    float64
	haze          float64 // light added everywhere
	blur, noise   float64 // standard deviations: in pixels, and of brightness
	pitch, aspect float64
}

func newCamera(r *random, d effects) *camera {
	earth := []colour{grey, beige, {.6, .58, .54}, {.45, .44, .44}, {.66, .6, .5}, {.35, .36, .4}}
	c := &camera{
		scene:   r.IntN(sceneKinds),
		wall:    r.dye(append(earth, colour{.55, .3, .24}, colour{.5, .56, .6})),
		detail:  r.dye([]colour{darkGrey, brown, navy, white, green, maroon, teal}),
		ground:  r.dye(earth),
		horizon: r.Between(0.25, 0.75), texture: texture(r.Uint64()), spacing: r.Between(14, 40), tiled: r.chance(0.5),
		side: r.Between(-1, 1), contrast: min(max(1.5*d.light*r.bell(), -0.8), 0.8), saturation: 1 - d.light*r.Between(0, 1.6), haze: d.light * r.Between(0, 0.45),
		blur: d.sensor * r.Between(0.2, 1.1), noise: d.sensor * r.Between(0.008, 0.035),
		pitch: r.Between(-0.02, 0.26), aspect: r.Between(0.9, 1.12),
	}
	gain := math.Exp(d.light * r.bell())
	for i := range c.light {
		c.light[i] = gain * math.Exp(0.8*d.light*r.bell())
	}
	return c
}

// place paints what is behind the people; they walk along it, so that each
// picture shows another part, from scroll on.
func (c *camera) place(scroll float64) paint {
	horizon := c.horizon * Height
	return func(x, y float64) colour {
		x += scroll
		grain := c.texture.at(x/2.3, y/2.3) - 0.5
		if y > horizon {
			// The ground comes nearer downwards.
			near := (y - horizon) / (Height - horizon + 1)
			g := c.ground.times(0.85 + 0.25*near + 0.12*grain)
			if c.tiled {
				across := (x - scroll - Width/2 + scroll*(0.4+near)) / (10 + 26*near)
				along := 9 / (near + 0.15)
				if across-math.Floor(across) < 0.06 || along-math.Floor(along) < 0.12 {
					g = g.times(0.75)
				}
			}
			return g
		}
		along := x/c.spacing - math.Floor(x/c.spacing)
		switch c.scene {
		case bricks:
			row := math.Floor(y / 5)
			brick := (x + 6*math.Mod(row, 2)) / 12
			if y-5*row < 1 || brick-math.Floor(brick) < 0.09 {
				return c.wall.times(0.7)
			}
			return c.wall.times(0.8 + 0.4*c.texture.at(math.Floor(brick)*1.7, row*1.3))
		case glass:
			if along < 0.1 || math.Mod(y, 38) < 3 {
				return c.detail
			}
			return colour{.5, .6, .66}.times(0.6 + 0.6*c.texture.at(x/17, y/23))
		case hedge:
			leaf := c.texture.at(x/4, y/4)
			return colour{.16, .3, .13}.towards(colour{.42, .5, .26}, leaf*leaf).times(0.75 + 0.5*c.texture.at(x/21, y/21))
		case plaster:
			if along > 0.62 && y > horizon-0.5*Height {
				return c.detail.times(0.9 + 0.2*grain)
			}
			return c.wall.times(0.95 + 0.15*grain)
		case lawn:
			if y < horizon*0.45 {
				return colour{.68, .76, .84}.towards(colour{.3, .38, .25}, min(1, max(0, 3*(c.texture.at(x/9, y/9)-0.4))))
			}
			if along < 0.12 || math.Abs(y-horizon*0.7) < 1.5 {
				return c.detail // a railing
			}
			return colour{.36, .46, .22}.times(0.9 + 0.4*grain)
		}
		// A street: parked cars before a wall.
		if y > horizon-0.22*Height && along > 0.12 {
			car := colour{.7, .7, .72}.towards(c.detail, c.texture.at(math.Floor(x/c.spacing), 0.5))
			if y < horizon-0.14*Height && along > 0.3 && along < 0.8 {
				return black
			}
			return car.times(0.9 + 0.15*grain)
		}
		return c.wall.times(0.8 + 0.4*c.texture.at(x/19, y/31))
	}
}

// expose turns the scene into what the camera's sensor makes of it, with the
// exposure and the noise of a moment.
func (c *camera) expose(pix *[Width * Height]colour, r *random, d effects) {
	exposure := math.Exp(0.35 * d.light * r.bell())
	gradient := 0.25 * c.side
	for i := range pix {
		p := &pix[i]
		x := float64(i%Width)/Width - 0.5
		luma := 0.3*p[0] + 0.59*p[1] + 0.11*p[2]
		for k := range p {
			v := luma + c.saturation*(p[k]-luma)
			v *= c.light[k] * exposure * (1 + gradient*x)
			v = min(max(v, 0), 1)
			v += c.contrast * v * (1 - v)
			p[k] = c.haze + (1-c.haze)*v
		}
	}
	blur(pix, c.blur)
	for i := range pix {
		bright := c.noise * r.grain()
		for k := range pix[i] {
			pix[i][k] += bright + 0.2*c.noise*r.grain()
		}
	}
}

// blur convolves with a Gaussian of that standard deviation.
func blur(pix *[Width * Height]colour, sigma float64) {
	if sigma < 0.1 {
		return
	}
	const radius = 3
	var kernel [2*radius + 1]float64
	sum := 0.0
	for i := range kernel {
		t := float64(i-radius) / sigma
		kernel[i] = math.Exp(-t * t / 2)
		sum += kernel[i]
	}
	for i := range kernel {
		kernel[i] /= sum
	}
	var line [max(Width, Height)]colour
	pass := func(start, step, n int) {
		for i := range n {
			line[i] = colour{}
			for k, w := range kernel {
				at := start + step*min(max(i+k-radius, 0), n-1)
				for j := range line[i] {
					line[i][j] += w * pix[at][j]
				}
			}
		}
		for i := range n {
			pix[start+step*i] = line[i]
		}
	}
	for y := range Height {
		pass(y*Width, 1, Width)
	}
	for x := range Width {
		pass(x, Width, Height)
	}
}
