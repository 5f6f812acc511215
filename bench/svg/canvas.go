package svg

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// Colours of series, in order; then they repeat.
var colours = []string{"#1f5fbf", "#d9730d", "#2a8a4a", "#8a3fa0", "#b8860b", "#555555"}

func colour(i int) string { return colours[i%len(colours)] }

const (
	fontSize  = 12
	charWidth = 6.7 // of the font, on average
	grid      = "#dddddd"
	ink       = "#222222"
)

// canvas collects shapes.
type canvas struct {
	b             strings.Builder
	width, height float64
}

func newCanvas(width, height float64) *canvas { return &canvas{width: width, height: height} }

// bytes returns the finished document.
func (c *canvas) bytes() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" font-family="sans-serif" font-size="%d">`+"\n",
		num(c.width), num(c.height), num(c.width), num(c.height), fontSize)
	fmt.Fprintf(&out, `<rect width="%s" height="%s" fill="#ffffff"/>`+"\n", num(c.width), num(c.height))
	out.WriteString(c.b.String())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// num prints a coordinate.
func num(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string, width float64) {
	fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-width="%s"/>`+"\n", num(x1), num(y1), num(x2), num(y2), stroke, num(width))
}

func (c *canvas) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`+"\n", num(x), num(y), num(w), num(h), fill)
}

func (c *canvas) dot(x, y, r float64, fill string) {
	fmt.Fprintf(&c.b, `<circle cx="%s" cy="%s" r="%s" fill="%s"/>`+"\n", num(x), num(y), num(r), fill)
}

// path joins points; dashed marks what is no measurement.
func (c *canvas) path(points [][2]float64, stroke string, dashed bool) {
	if len(points) < 2 {
		return
	}
	var d strings.Builder
	for i, p := range points {
		fmt.Fprintf(&d, "%s%s %s", map[bool]string{true: "M", false: " L"}[i == 0], num(p[0]), num(p[1]))
	}
	dash := ""
	if dashed {
		dash = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(&c.b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", d.String(), stroke, dash)
}

// Anchors of text.
const (
	start  = "start"
	middle = "middle"
	end    = "end"
)

func (c *canvas) text(x, y float64, anchor, s string) {
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" text-anchor="%s" fill="%s">%s</text>`+"\n", num(x), num(y), anchor, ink, escape(s))
}

func (c *canvas) title(s string) {
	fmt.Fprintf(&c.b, `<text x="10" y="20" font-size="14" font-weight="bold" fill="%s">%s</text>`+"\n", ink, escape(s))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// legend names the series in a row.
func (c *canvas) legend(x, y float64, names []string) {
	for i, name := range names {
		c.rect(x, y-9, 10, 10, colour(i))
		c.text(x+15, y, start, name)
		x += 15 + charWidth*float64(len(name)) + 20
	}
}
