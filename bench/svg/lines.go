package svg

// Line is one series.
type Line struct {
	Name      string
	X, Y      []float64
	Reference bool // dashed, without dots
}

// Chart is lines over one axis.
type Chart struct {
	Title, X, Y string
	LogX, LogY  bool
	Lines       []Line
}

const (
	lineHeight = 380
	lineLeft   = 70
	lineBottom = 50
)

// Lines draws them.
func Lines(ch Chart) []byte {
	c := newCanvas(chartWidth, lineHeight)
	var xs, ys []float64
	var names []string
	for _, l := range ch.Lines {
		xs, ys, names = append(xs, l.X...), append(ys, l.Y...), append(names, l.Name)
	}
	x := newAxis(xs, lineLeft, chartWidth-30, ch.LogX)
	y := newAxis(ys, lineHeight-lineBottom, headHeight+12, ch.LogY)
	c.title(ch.Title)
	c.legend(lineLeft, 38, names)
	for _, t := range x.ticks {
		c.line(x.at(t), y.from, x.at(t), y.to, grid, 1)
		c.text(x.at(t), y.from+16, middle, label(t))
	}
	for _, t := range y.ticks {
		c.line(x.from, y.at(t), x.to, y.at(t), grid, 1)
		c.text(x.from-6, y.at(t)+4, end, label(t))
	}
	c.text((x.from+x.to)/2, lineHeight-12, middle, ch.X)
	c.text(10, headHeight-6, start, ch.Y)
	for i, l := range ch.Lines {
		var points [][2]float64
		for j := range min(len(l.X), len(l.Y)) {
			if usable(l.X[j], ch.LogX) && usable(l.Y[j], ch.LogY) {
				points = append(points, [2]float64{x.at(l.X[j]), y.at(l.Y[j])})
			}
		}
		c.path(points, colour(i), l.Reference)
		for _, p := range points {
			if !l.Reference {
				c.dot(p[0], p[1], 3.5, colour(i))
			}
		}
	}
	return c.bytes()
}
