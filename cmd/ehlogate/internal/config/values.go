package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ehlogate/policyd/delegation"
)

// parseWord reads an enumerated value, if the key is set.
func (p *parser) parseWord(s *string, path string, into interface{ UnmarshalText([]byte) error }) {
	if s == nil {
		return
	}
	if err := into.UnmarshalText([]byte(*s)); err != nil {
		msg, hint, _ := strings.Cut(err.Error(), ": ")
		p.addProblem(path, msg, hint)
	}
}

// parseAction reads an access(5) action, if the key is set.
func (p *parser) parseAction(s *string, path string, into *string) {
	if s == nil {
		return
	}
	*into = *s
	if err := delegation.CheckAction(*s); err != nil {
		p.addProblem(path, err.Error(), "write an action of access(5) or a restriction class; {action}, {list} and {entry} are replaced")
	}
}

// parseCount reads a number, if the key is set.
func (p *parser) parseCount(n *int, path string, least int, into *int) {
	if n == nil {
		return
	}
	if *n < least {
		p.addProblem(path, fmt.Sprintf("%s must be at least %d", path[strings.LastIndexByte(path, '.')+1:], least), "remove it for the default")
	}
	*into = *n
}

// parseDuration reads a duration such as "300ms", "2h" or "7d", if the key is set.
func (p *parser) parseDuration(s *string, path string, least, most time.Duration, into *time.Duration) {
	if s == nil {
		return
	}
	d, err := time.ParseDuration(*s)
	if days, ok := strings.CutSuffix(*s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * 24 * float64(time.Hour))
	}
	switch {
	case err != nil:
		p.addProblem(path, fmt.Sprintf("invalid duration %q", *s), `write a number with a unit, such as "300ms", "10s", "5m", "2h" or "7d"`)
	case d < least || d > most:
		p.addProblem(path, fmt.Sprintf("duration %q is out of range", *s), fmt.Sprintf("write a duration from %s to %s", formatDuration(least), formatDuration(most)))
	}
	*into = d
}

// formatDuration returns d without trailing zero units.
func formatDuration(d time.Duration) string {
	if day := 24 * time.Hour; d > day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
