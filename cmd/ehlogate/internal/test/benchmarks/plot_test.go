package benchmarks

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Measures of the plot, in pixels.
const (
	panelWidth  = 300 // with what stands beside its axes
	plotHeight  = 330
	panelLeft   = 52
	panelRight  = 72
	panelTop    = 46
	panelBottom = 44
	labelHeight = 14
)

// colors of the programs, in their order.
var colors = []string{"#00755e", "#c8501e", "#2f6db3", "#7a7a7a"}

// growthPlot draws a panel for each kind of cost, both axes logarithmic.
func growthPlot(sizes []int, programs []growing) string {
	var b strings.Builder
	width := panelWidth * len(costs)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d"`, width, plotHeight, width, plotHeight)
	b.WriteString(" font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\" font-size=\"12\" fill=\"#444\">\n")
	fmt.Fprintf(&b, "<title>What a list costs, by the number of addresses in it</title>\n")
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", width, plotHeight)
	for i, what := range costs {
		fmt.Fprintf(&b, "<g transform=\"translate(%d 0)\">\n", i*panelWidth)
		p := newPanel(sizes, programs, what.of)
		p.drawAxes(&b, what.title, sizes)
		p.lines(&b, sizes, programs)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// panel maps figures to places in a plot.
type panel struct {
	of                     func(cost) float64
	x0, x1, low, high      float64 // decades at the ends of the axes
	left, right, top, base float64
}

func newPanel(sizes []int, programs []growing, of func(cost) float64) panel {
	p := panel{of: of, left: panelLeft, right: panelWidth - panelRight, top: panelTop, base: plotHeight - panelBottom}
	p.x0, p.x1 = math.Log10(float64(sizes[0])), math.Log10(float64(sizes[len(sizes)-1]))
	p.low, p.high = math.Inf(1), math.Inf(-1)
	for _, g := range programs {
		for _, c := range g.costs {
			if v := of(c); v > 0 { // a difference of two figures may be none
				p.low, p.high = min(p.low, math.Floor(math.Log10(v))), max(p.high, math.Ceil(math.Log10(v)))
			}
		}
	}
	return p
}

func (p panel) x(n int) float64 {
	return p.left + (math.Log10(float64(n))-p.x0)/(p.x1-p.x0)*(p.right-p.left)
}

func (p panel) y(v float64) float64 {
	return p.base - (math.Log10(v)-p.low)/(p.high-p.low)*(p.base-p.top)
}

func (p panel) drawAxes(b *strings.Builder, title string, sizes []int) {
	fmt.Fprintf(b, "<text x=\"%.0f\" y=\"22\" font-size=\"14\" font-weight=\"bold\" fill=\"#222\">%s</text>\n", p.left-36, title)
	for d := p.low; d <= p.high; d++ {
		y := p.y(math.Pow(10, d))
		fmt.Fprintf(b, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#e2e2e2\"/>\n", p.left, y, p.right)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", p.left-6, y+4, decimal(math.Pow(10, d)))
	}
	fmt.Fprintf(b, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#888\"/>\n", p.left, p.base, p.right)
	for _, n := range sizes {
		fmt.Fprintf(b, "<path d=\"M%.1f %.1fv4\" stroke=\"#888\"/>\n", p.x(n), p.base)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", p.x(n), p.base+18, decimal(float64(n)))
	}
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">addresses</text>\n", (p.left+p.right)/2, p.base+36)
}

// decimal writes a power of ten.
func decimal(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

// label is the name of a line, at its end.
type label struct {
	name, color string
	x, y        float64
	inner       bool // the line ends before the others do
}

func (p panel) lines(b *strings.Builder, sizes []int, programs []growing) {
	var labels []label
	for i, g := range slices.Backward(programs) { // ours on top
		stroke := 1.8
		if i == 0 {
			stroke = 3
		}
		var path strings.Builder
		end := label{name: g.name, color: colors[i]}
		for k, c := range g.costs {
			v := p.of(c)
			if v <= 0 {
				continue
			}
			command := "L"
			if path.Len() == 0 {
				command = "M"
			}
			end.x, end.y, end.inner = p.x(sizes[k]), p.y(v), k < len(sizes)-1
			fmt.Fprintf(&path, "%s%.1f %.1f", command, end.x, end.y)
			fmt.Fprintf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", end.x, end.y, stroke+0.7, end.color)
		}
		if path.Len() == 0 {
			continue
		}
		fmt.Fprintf(b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" stroke-linejoin=\"round\"/>\n", &path, end.color, stroke)
		labels = append(labels, end)
	}
	for _, l := range spread(labels) {
		x, y, anchor := l.x+8, l.y+4, "start"
		if l.inner { // the others go on to the right of it
			x, y, anchor = l.x-12, l.y-8, "end"
		}
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\"", x, y, anchor, l.color)
		fmt.Fprintf(b, " stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\">%s</text>\n", l.name)
	}
}

// spread moves labels apart that would cover each other.
func spread(labels []label) []label {
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	last := math.Inf(-1)
	for i := range labels {
		if !labels[i].inner {
			labels[i].y = max(labels[i].y, last+labelHeight)
			last = labels[i].y
		}
	}
	return labels
}
