package telemetry

import (
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
