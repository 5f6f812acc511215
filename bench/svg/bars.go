package svg

import "fmt"

// Bar is a ratio with its spread over the rounds.
type Bar struct {
	Label            string
	Value, Low, High float64
	// Good colours it: better than 1 in the sense of its metric.
	Good bool
}

const (
	chartWidth = 860
	rowHeight  = 18
	headHeight = 44
	footHeight = 34
)

// Bars draws ratios as bars from 1, on a logarithmic axis: twice as much and
// half as much are equally long.
func Bars(title, axisName string, bars []Bar) []byte {
	left := labelWidth(bars)
	c := newCanvas(chartWidth, headHeight+footHeight+rowHeight*float64(len(bars)))
	values := []float64{0.5, 2}
	for _, b := range bars {
		values = append(values, b.Low, b.High)
	}
	x := newAxis(values, left, chartWidth-60, true)
	bottom := c.height - footHeight
	c.title(title)
	for _, t := range x.ticks {
		c.line(x.at(t), headHeight-8, x.at(t), bottom, grid, 1)
		c.text(x.at(t), bottom+14, middle, label(t))
	}
	c.text((left+chartWidth-60)/2, bottom+30, middle, axisName)
	for i, b := range bars {
		y := headHeight + rowHeight*float64(i)
		c.text(left-8, y+rowHeight-6, end, b.Label)
		if !usable(b.Value, true) {
			c.text(x.at(1)+4, y+rowHeight-6, start, "not measured")
			continue
		}
		fill := colour(0)
		if !b.Good {
			fill = colour(1)
		}
		from, to := x.at(1), x.at(b.Value)
		c.rect(min(from, to), y+3, max(from, to)-min(from, to), rowHeight-7, fill)
		if usable(b.Low, true) && usable(b.High, true) {
			c.line(x.at(b.Low), y+rowHeight/2-0.5, x.at(b.High), y+rowHeight/2-0.5, ink, 1)
		}
		c.text(max(to, x.at(max(b.High, 1)))+5, y+rowHeight-6, start, fmt.Sprintf("%.2f", b.Value))
	}
	c.line(x.at(1), headHeight-8, x.at(1), bottom, ink, 1.5)
	return c.bytes()
}

func labelWidth(bars []Bar) float64 {
	longest := 0
	for _, b := range bars {
		longest = max(longest, len(b.Label))
	}
	return 20 + charWidth*float64(longest)
}
