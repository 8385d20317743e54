package walkers

// The kinds of what people wear and carry.
const (
	plainUpper = iota
	bandedUpper
	stripedUpper
	checkedUpper
	blockedUpper // two colours, one above the other
	logoUpper    // in front only
	openJacket   // over a shirt of the second colour
	upperKinds
)

const (
	trousers = iota
	shorts
	skirt
	dress // a skirt of the upper part's colour
)

const (
	noBag = iota
	backpack
	shoulderBag
	handbag
)

const (
	noHat = iota
	peakedCap
	brimmedHat
)

// person is how an identity looks, on any day and by any camera.
type person struct {
	upper                  int
	upperColour, second    colour
	sleeve                 float64 // fraction of the arm that is covered
	bands                  float64 // of striped clothes, between shoulders and hip
	lower                  int
	lowerColour            colour
	hem                    float64 // of shorts and skirts: fraction of the leg that is covered
	shoes, skin            colour
	hair                   colour
	hairLength             float64 // 0 is bald, 1 reaches the shoulders
	hat                    int
	hatColour              colour
	bag                    int
	bagColour              colour
	right                  bool    // the side the bag hangs on
	width, shoulders, legs float64 // of the body, 1 on average
	stride                 float64
}

var (
	black, darkGrey, grey, white = colour{.09, .09, .10}, colour{.25, .25, .27}, colour{.5, .5, .51}, colour{.9, .9, .88}
	navy, blue, lightBlue, teal  = colour{.11, .15, .32}, colour{.18, .33, .68}, colour{.55, .7, .88}, colour{.12, .48, .48}
	red, maroon, orange, pink    = colour{.74, .13, .15}, colour{.4, .1, .15}, colour{.87, .47, .16}, colour{.88, .58, .66}
	green, olive, yellow, purple = colour{.17, .44, .23}, colour{.4, .4, .22}, colour{.88, .78, .25}, colour{.44, .24, .5}
	beige, brown                 = colour{.78, .7, .55}, colour{.4, .27, .17}
)

func (r *random) dye(of []colour) colour {
	c := of[r.IntN(len(of))]
	for i := range c {
		c[i] = min(max(c[i]*(1+0.07*r.bell()), 0.03), 0.97)
	}
	return c
}

func newPerson(r *random) *person {
	tops := []colour{black, darkGrey, grey, white, white, navy, blue, lightBlue, teal, red, maroon, orange, pink, green, olive, yellow, purple, beige, brown}
	bottoms := []colour{black, black, darkGrey, grey, navy, navy, blue, beige, brown, white, olive, maroon}
	bright := []colour{white, white, black, grey, red, yellow, lightBlue, orange, pink, green}
	p := &person{
		upper:       r.IntN(upperKinds),
		upperColour: r.dye(tops), second: r.dye(bright),
		sleeve:      []float64{0.12, 0.5, 1, 1}[r.pick(1, 4, 3, 2)],
		bands:       r.Between(3, 8),
		lower:       r.pick(5, 2, 1.5, 1),
		lowerColour: r.dye(bottoms),
		hem:         r.Between(0.3, 0.6),
		shoes:       r.dye([]colour{black, black, brown, white, white, grey, red, blue}),
		skin:        colour{.9, .74, .62}.towards(colour{.36, .24, .17}, r.Float64()*r.Float64()),
		hair:        r.dye([]colour{black, black, {.17, .11, .07}, {.3, .19, .1}, {.62, .47, .26}, grey, {.45, .18, .08}}),
		hairLength:  []float64{0, 0.35, 0.55, 1}[r.pick(0.6, 4, 2, 4)],
		hat:         r.pick(6, 1.5, 1),
		hatColour:   r.dye(tops),
		bag:         r.pick(4, 3, 2, 2),
		bagColour:   r.dye(tops),
		right:       r.chance(0.5),
		width:       r.Between(0.84, 1.24), shoulders: r.Between(0.92, 1.08), legs: r.Between(0.96, 1.04),
		stride: r.Between(0.8, 1.15),
	}
	if p.upper == openJacket {
		p.sleeve = 1
	}
	if p.lower == dress {
		p.lowerColour = p.upperColour
		p.hem = r.Between(0.4, 0.75)
	}
	return p
}
