package benchmarks

import (
	"fmt"
	"math"
	"net"
	"strings"
)

// listenReady opens the socket by which a peer shows that it works.
func listenReady(path string) (net.Listener, error) { return net.Listen("unix", path) }

// floodTable has a row for each second.
func floodTable(open, limited []moment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## A flood of handshakes, by second\n\nOf `TestPressure`: [pressure.svg](pressure.svg). Without a limit, and with `cpu_pressure = \"%.0f%%\"`.\n\n", 100*pressureTarget)
	b.WriteString("| Second | Pressure, no limit | Pressure | Handshakes, no limit | Handshakes | Refused | Median time of known-good clients, no limit | Median time |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, m := range limited {
		o := open[i]
		fmt.Fprintf(&b, "| %d | %.0f %% | %.0f %% | %d | %d | %d | %.2f s | %.2f s |\n", i, 100*o.pressure, 100*m.pressure, o.handshakes, m.handshakes, m.refused, o.latency, m.latency)
	}
	return b.String()
}

const (
	stripWidth, stripHeight = 760, 150
	stripLeft, stripRight   = 60, 130
)

// floodPlot draws a strip for each figure, over time. The flood is from one second to another.
func floodPlot(open, limited []moment, from, to int) string {
	strips := []struct {
		title string
		of    func(moment) float64
	}{
		{"CPU pressure of Postfix, %", func(m moment) float64 { return 100 * m.pressure }},
		{"TLS handshakes with unknown clients a second", func(m moment) float64 { return float64(m.handshakes) }},
		{"Time to deliver a message of known-good clients, s", func(m moment) float64 { return m.latency }},
	}
	height := len(strips)*stripHeight + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d"`, stripWidth, height, stripWidth, height)
	b.WriteString(" font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\" font-size=\"12\" fill=\"#444\">\n")
	fmt.Fprintf(&b, "<title>A flood of TLS handshakes, without a limit and with cpu_pressure</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", stripWidth, height)
	x := func(second float64) float64 {
		return stripLeft + second/float64(len(open))*float64(stripWidth-stripLeft-stripRight)
	}
	for i, s := range strips {
		top, base := float64(i*stripHeight+34), float64(i*stripHeight+stripHeight-4)
		most := 0.0
		for k := range open {
			most = max(most, s.of(open[k]), s.of(limited[k]))
		}
		scale := roundUp(most)
		y := func(v float64) float64 { return base - v/scale*(base-top) }
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%.0f\" font-size=\"13\" font-weight=\"bold\" fill=\"#222\">%s</text>\n", stripLeft, top-10, s.title)
		fmt.Fprintf(&b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#f4f0ea\"/>\n", x(float64(from)), top, x(float64(to))-x(float64(from)), base-top)
		for _, v := range []float64{0, scale / 2, scale} {
			fmt.Fprintf(&b, "<path d=\"M%d %.1fH%d\" stroke=\"#e2e2e2\"/>\n<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", stripLeft, y(v), stripWidth-stripRight, stripLeft-6, y(v)+4, v)
		}
		for k, side := range []struct {
			name    string
			moments []moment
		}{{"no limit", open}, {fmt.Sprintf("cpu_pressure %.0f%%", 100*pressureTarget), limited}} {
			color := colors[1-k]
			var path strings.Builder
			for n, m := range side.moments {
				fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[n == 0], x(float64(n)+0.5), y(s.of(m)))
			}
			fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\" stroke-linejoin=\"round\"/>\n", &path, color)
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%.1f\" fill=\"%s\">%s</text>\n", stripWidth-stripRight+8, top+14+18*float64(k), color, side.name)
		}
	}
	for n := 0; n <= len(open); n += 5 {
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d s</text>\n", x(float64(n)), height-20, n)
	}
	fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">the flood</text>\n</svg>\n", x(float64(from+to)/2), height-4)
	return b.String()
}

// roundUp returns the next of 1, 2 and 5, times a power of ten.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*decade {
			return n * decade
		}
	}
	return 10 * decade
}
