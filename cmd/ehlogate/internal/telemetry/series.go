package telemetry

import (
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
)

// deciding are the protocols whose decisions are counted.
var deciding = []string{"memcache", "socketmap", "tcp_table", "policy", "milter"}

// addSeries makes the series of all decisions that a snapshot can lead to, so that each begins with 0: a rate or an increase
// does not see the first event of a series that appears with it.
func (m *Metrics) addSeries(s *state.Snapshot) {
	for _, protocol := range deciding {
		add := func(action lists.Action, list string) {
			m.decisions.WithLabelValues(protocol, action.String(), list)
			if action == lists.Suppress {
				m.overridden.WithLabelValues(protocol, list)
			}
		}
		add(lists.Offer, "")
		add(lists.Suppress, "")
		m.observed.WithLabelValues(protocol, lists.Suppress.String(), "")
		for _, l := range s.Config.Lists {
			add(l.Action, l.Name)
			m.observed.WithLabelValues(protocol, l.Action.String(), l.Name)
			if l.Action == lists.Require {
				add(lists.Offer, l.Name) // while it is unavailable
			}
		}
	}
	m.seriesOf.Store(s.Config)
}

// keepSeries adds the series of the present config, if that is another one than before.
func (m *Metrics) keepSeries() {
	if s := m.manager.Snapshot(); s.Config != m.seriesOf.Load() {
		m.addSeries(s)
	}
}
