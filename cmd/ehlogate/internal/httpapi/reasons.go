package httpapi

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ehlogate/lists/printable"
)

// maxReason is the longest reason in bytes.
const maxReason = 300

func newReason(what, err string) string {
	first, _, _ := strings.Cut(err, "\n")
	return printable.Shorten(what+": "+first, maxReason)
}

// findReasons returns why not all is well, and whether a list or an address is unavailable.
func (h *Health) findReasons(now time.Time) (all []string, unavailable bool) {
	var worst, others []string
	if len(h.NotServed) > 0 {
		worst = append(worst, newReason("not served", strings.Join(h.NotServed, ", ")))
	}
	degraded := func(is bool, what, err string) {
		if is {
			others = append(others, newReason(what, err))
		}
	}
	if h.Exposed.IsRecent(now) {
		others = append(others, printable.Shorten(h.Exposed.String(), maxReason))
	}
	for _, l := range h.Lists {
		if what := fmt.Sprintf("list %q", l.Name); l.State == StateUnavailable {
			worst = append(worst, newReason(what+" is unavailable", l.Error))
		} else { // for lists that learn, [learn] says it once
			degraded(l.Learn == "", what, l.Error)
		}
	}
	degraded(h.ConfigError != "", "the last reload was refused", h.ConfigError)
	for _, s := range h.Logs {
		degraded(s.IsDegraded(), "log "+s.Source, s.Error)
	}
	if l := h.Learned; l != nil {
		degraded(l.IsDegraded(), "[learn]", l.Error)
	}
	degraded(h.NeverError != "", "[learn] never", h.NeverError)
	if p := h.Pressure; p != nil {
		degraded(p.IsDegraded(), "[limit] cpu_pressure", p.Error)
	}
	if r := h.Reports; r != nil {
		degraded(r.Error != "", "[tlsrpt]", r.Error)
		if n := len(r.Findings); n > 0 {
			f := r.Findings[0]
			degraded(true, "[tlsrpt]", fmt.Sprintf("STARTTLS is hidden from %s, which kept mail for %s from being sent (findings: %d)", f.Address, f.Domain, n))
		}
	}
	return slices.Concat(worst, others), len(worst) > 0
}
