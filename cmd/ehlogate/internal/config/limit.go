package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// limitKeys is what a limit needs.
const limitKeys = `cpu_pressure = "40%" for as many offers as the CPU has time for, or offers_per_second = N: how many TLS handshakes a second with unknown clients the server can handle`

const hintPressure = `write a share of time in quotes, from "1%" to "95%"; "40%" is a good start`

// parseLimit reads [limit], which default = "limit" requires.
func (p *parser) parseLimit(r *rawLimit, c *Config) {
	if r == nil {
		if c.Limit != nil {
			p.addProblem("default", `default = "limit" needs [limit] with cpu_pressure or offers_per_second`, "write [limit], and below it "+limitKeys)
		}
		return
	}
	l := c.Limit
	if l == nil {
		l = new(Limit) // report problems also while [limit] is not used
	}
	if r.OffersPerSecond == nil && r.CPUPressure == nil {
		p.addProblem("limit", "missing key cpu_pressure or offers_per_second", "write "+limitKeys)
	}
	if n := r.OffersPerSecond; n != nil {
		if l.OffersPerSecond = *n; !(*n >= 0.001 && *n <= 1e6) {
			p.addProblem("limit.offers_per_second", fmt.Sprintf("invalid rate %v", *n), `write a number from 0.001 to 1000000; to offer STARTTLS to no unknown client, write default = "suppress"`)
		}
	}
	p.parsePressure(r, l)
	p.parseDuration(r.Keep, "limit.keep", time.Second, 24*time.Hour, &l.Keep)
}

func (p *parser) parsePressure(r *rawLimit, l *Limit) {
	if s := r.CPUPressure; s != nil {
		digits, isPercent := strings.CutSuffix(*s, "%")
		percent, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		switch {
		case err != nil || !isPercent:
			p.addProblem("limit.cpu_pressure", fmt.Sprintf("invalid pressure %q", *s), hintPressure)
		case !(percent >= 1 && percent <= 95):
			p.addProblem("limit.cpu_pressure", fmt.Sprintf("pressure %q is out of range", *s), hintPressure)
		}
		l.CPUPressure = percent / 100
	}
	s := r.PressureFile
	if s == nil {
		return
	}
	if !filepath.IsAbs(*s) {
		p.addProblem("limit.pressure_file", fmt.Sprintf("%q is not an absolute path", *s), `write the path of the cpu.pressure of a cgroup, or remove the key for that of the whole machine`)
	}
	if r.CPUPressure == nil {
		p.addProblem("limit.pressure_file", "pressure_file has no effect without cpu_pressure", `write cpu_pressure = "40%", or remove pressure_file`)
	}
	l.PressureFile = filepath.Clean(*s)
}
