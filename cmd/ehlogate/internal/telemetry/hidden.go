package telemetry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
)

// actionHide is the label action of what an observing list would hide besides STARTTLS.
const actionHide = "hide"

// countHidden counts the keywords that each list hides from a client.
func (m *Metrics) countHidden(protocol string, d *lists.Decision) {
	for _, v := range d.Hidden.By {
		if v.List.Mode == lists.Observe || d.Hide() == 0 {
			m.observed.WithLabelValues(protocol, actionHide, v.List.Name).Inc()
			continue
		}
		for keyword := range v.List.Hide.All() {
			m.hidden.WithLabelValues(keyword, v.List.Name).Inc()
		}
	}
}

// addHiddenSeries makes the series of what a list can hide.
func (m *Metrics) addHiddenSeries(list string, hide lists.Keywords) {
	if hide == 0 {
		return
	}
	for keyword := range hide.All() {
		m.hidden.WithLabelValues(keyword, list)
	}
	for _, protocol := range deciding {
		m.observed.WithLabelValues(protocol, actionHide, list)
	}
}

// isQuiet reports whether the lists want no log line about what they hide, as the mail server writes none.
func isQuiet(d *lists.Decision) bool {
	for _, v := range d.Hidden.By {
		if !v.List.Hide.Has(lists.SilentDiscard) {
			return false
		}
	}
	return true
}

// addHiddenFields adds to a log line what is hidden besides STARTTLS, and by which lists. wouldHide reports whether it takes no effect.
func addHiddenFields(f logrus.Fields, d *lists.Decision) (wouldHide bool) {
	if d.Hidden == nil {
		return false
	}
	hide := d.Hide()
	if wouldHide = hide == 0; wouldHide {
		for _, v := range d.Hidden.By {
			hide |= v.List.Hide
		}
	}
	var names []string
	for _, v := range d.Hidden.By {
		if wouldHide || v.List.Mode == lists.Enforce {
			names = append(names, v.List.Name)
		}
	}
	f["keywords"], f["hidden_by"] = (hide &^ lists.SilentDiscard).String(), strings.Join(names, ", ")
	return wouldHide
}

// isObserving reports whether the list of a verdict would hide keywords.
func isObserving(v lists.Verdict) bool { return v.List.Mode == lists.Observe }

// firstInEffect returns the verdict of the first list that hides keywords. There is one.
func firstInEffect(h *lists.Hidden) lists.Verdict {
	return h.By[slices.IndexFunc(h.By, func(v lists.Verdict) bool { return !isObserving(v) })]
}

// addObservedHiding adds to a log line about other lists what a list that observes would hide.
func addObservedHiding(f logrus.Fields, h *lists.Hidden) {
	if h == nil {
		return
	}
	if i := slices.IndexFunc(h.By, isObserving); i >= 0 {
		f["observed"] = fmt.Sprintf("hide %s by %s", h.By[i].List.Hide&^lists.SilentDiscard, h.By[i].List.Name)
	}
}
