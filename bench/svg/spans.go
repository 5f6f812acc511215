package svg

// Span is latencies of one workload on one system, in ms.
type Span struct{ P50, P99, P999 float64 }

// SpanRow is one workload: a span of each system, in the order of the legend.
type SpanRow struct {
	Label string
	Spans []Span
}

// Spans draws, for each workload and system, a stroke from p50 (a dot) over p99
// (a dot) to p99.9.
func Spans(title string, systems []string, rows []SpanRow) []byte {
	longest := 0
	var values []float64
	for _, r := range rows {
		longest = max(longest, len(r.Label))
		for _, s := range r.Spans {
			values = append(values, s.P50, s.P99, s.P999)
		}
	}
	left := 20 + charWidth*float64(longest)
	perRow := 10*float64(len(systems)) + 8
	c := newCanvas(chartWidth, headHeight+footHeight+perRow*float64(len(rows)))
	x := newAxis(values, left, chartWidth-30, true)
	bottom := c.height - footHeight
	c.title(title)
	c.legend(left, 36, systems)
	for _, t := range x.ticks {
		c.line(x.at(t), headHeight-4, x.at(t), bottom, grid, 1)
		c.text(x.at(t), bottom+14, middle, label(t))
	}
	c.text((left+chartWidth-30)/2, bottom+30, middle, "ms: p50 dot, p99 dot, stroke to p99.9")
	for i, r := range rows {
		top := headHeight + perRow*float64(i)
		c.text(left-8, top+perRow/2+4, end, r.Label)
		for j, s := range r.Spans {
			if !usable(s.P50, true) || !usable(s.P99, true) || !usable(s.P999, true) {
				continue
			}
			y := top + 8 + 10*float64(j)
			c.line(x.at(s.P50), y, x.at(s.P999), y, colour(j), 2)
			c.dot(x.at(s.P50), y, 3.5, colour(j))
			c.dot(x.at(s.P99), y, 3.5, colour(j))
		}
	}
	return c.bytes()
}
