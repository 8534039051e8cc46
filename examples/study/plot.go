package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/x/ringdht/internal/ring"
)

// colours are the colours of the plans, in their order. They differ for any colour vision,
// and they and the ink are visible on light and dark pages.
var colours = []string{"#d9822b", "#3987d0"}

const ink = "#87909a"

// panel is one of the two diagrams: its position and its axes.
type panel struct {
	left          float64 // in the drawing
	title, across string
	low, high     float64 // the ends of the horizontal axis
	top           float64 // the end of the vertical axis, which starts at 0
	log           bool    // the horizontal axis is logarithmic
	b             *strings.Builder
}

const (
	width, height = 380.0, 260.0 // of a panel
	above         = 74.0         // the space above a panel
)

func (p *panel) x(v float64) float64 {
	low, high := p.low, p.high
	if p.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return p.left + width*(v-low)/(high-low)
}

func (p *panel) y(v float64) float64 { return above + height*(1-v/p.top) }

func (p *panel) say(x, y float64, anchor, text string) {
	fmt.Fprintf(p.b, `<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, text)
}

// frame draws the axes.
func (p *panel) frame(across, up []float64) {
	fmt.Fprintf(p.b, `<clipPath id="at%.0f"><rect x="%.0f" y="%.0f" width="%.0f" height="%.0f"/></clipPath>`+"\n", p.left, p.left, above, width, height)
	for _, v := range up {
		fmt.Fprintf(p.b, `<path d="M%.1f %.1fh%.0f" stroke="%s" stroke-opacity="%s"/>`+"\n", p.left, p.y(v), width, ink, map[bool]string{true: "1", false: ".3"}[v == 0])
		p.say(p.left-8, p.y(v)+4, "end", fmt.Sprint(v))
	}
	for _, v := range across {
		p.say(p.x(v), above+height+18, "middle", grouped(int(v)))
	}
	p.say(p.left+width/2, above-12, "middle", p.title)
	p.say(p.left+width/2, above+height+38, "middle", p.across)
}

// curve draws a curve through points.
func (p *panel) curve(colour, dash string, points [][2]float64) {
	fmt.Fprintf(p.b, `<polyline clip-path="url(#at%.0f)" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s" points="`, p.left, colour, dash)
	for _, at := range points {
		fmt.Fprintf(p.b, "%.1f,%.1f ", p.x(at[0]), p.y(at[1]))
	}
	p.b.WriteString("\"/>\n")
}

// plot draws both plans side by side: the mean hops by the size of the tables, in a ring of
// so many nodes, and the mean and most hops by the size of the ring.
func plot(nodes int) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 936 392" font-family="sans-serif" font-size="13" fill="%s">`+"\n", ink)
	const largest = 32
	tables := &panel{b: b, left: 46, title: grouped(nodes) + " nodes: mean hops", across: "entries of each routing table", low: 0, high: largest, top: 12}
	tables.frame([]float64{4, 8, 12, 16, 20, 24, 28, 32}, []float64{0, 2, 4, 6, 8, 10, 12})
	rings := &panel{b: b, left: 500, title: "tables of log2 N entries: mean hops, and the most (dashed)", across: "nodes", low: 10, high: maxNodes, top: 20, log: true}
	rings.frame([]float64{10, 100, 1000, 10_000, 100_000, 1_000_000}, []float64{0, 5, 10, 15, 20})
	for i, p := range plans {
		var byTable, mean, most [][2]float64
		for k := 1; k <= min(largest, nodes-1); k++ {
			byTable = append(byTable, [2]float64{float64(k), p.layout(k).For(nodes).Offsets.MeanHops(nodes)})
		}
		for step := range 26 { // five steps for each factor of ten
			n := int(math.Round(math.Pow(10, 1+float64(step)/5)))
			o := p.layout(0).For(n).Offsets
			mean = append(mean, [2]float64{float64(n), o.MeanHops(n)})
			most = append(most, [2]float64{float64(n), float64(longest(o, n))})
		}
		tables.curve(colours[i], "none", byTable)
		rings.curve(colours[i], "none", mean)
		rings.curve(colours[i], "4 4", most)
		x := 270 + 210*float64(i)
		fmt.Fprintf(b, `<path d="M%.0f 24h28" stroke="%s" stroke-width="3"/>`+"\n", x, colours[i])
		tables.say(x+36, 28, "start", []string{"classic: 1, 2, 4, 8 …", "best: fewest hops"}[i])
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func longest(o ring.Offsets, n int) int { return len(o.Histogram(n)) - 1 }

// grouped formats a number with separators between thousands.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
