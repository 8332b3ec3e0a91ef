package httpapi

import (
	"errors"
	"slices"
	"time"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
)

// ListStatus is the state of one list, in /api/v1/lists and /healthz.
type ListStatus struct {
	Name     string            `json:"name"`
	Action   lists.Action      `json:"action"`         // "none": it hides keywords only
	Hide     []string          `json:"hide,omitempty"` // EHLO keywords
	Services []lists.Service   `json:"services"`       // to which it applies
	Mode     lists.Mode        `json:"mode"`
	Learn    string            `json:"learn,omitempty"`  // "fallback" or "earned": the list learns from logs
	Loaded   *time.Time        `json:"loaded"`           // time at which the entries in use were loaded; null: never
	Expires  time.Time         `json:"expires,omitzero"` // when its files are too old, by expire_after
	Entries  int               `json:"entries"`
	Files    []string          `json:"files"`
	State    string            `json:"state"`                   // "ok", "degraded": in use as it was, "unavailable"
	Since    time.Time         `json:"since,omitzero"`          // since when it is degraded or unavailable
	Error    string            `json:"error,omitempty"`         // why it is degraded or unavailable
	Problems []string          `json:"problems,omitempty"`      // the first problems in Error, each with its position
	Skipped  int               `json:"skipped,omitempty"`       // lines of a feed that have no effect
	Lines    []string          `json:"skipped_lines,omitempty"` // the first of them, each with its position and why
	Zones    []dnsbl.ZoneStats `json:"zones,omitempty"`         // of a DNS list
}

// The words of ListStatus.State, and of the status of /healthz.
const (
	StateOK          = "ok"
	StateDegraded    = "degraded"
	StateUnavailable = "unavailable"
)

// Lists returns the state of each list, in the order of the config.
func (a *API) Lists() []ListStatus {
	snapshot := a.Manager.Snapshot()
	dns := snapshot.DNS.Stats()
	all := []ListStatus{}
	for i, s := range snapshot.Sources {
		conf := snapshot.Config.Lists[i]
		l := ListStatus{Name: conf.Name, Action: conf.Action, Hide: slices.Collect(conf.Hide.All()), Services: conf.Services.All(), Mode: snapshot.Policy.Lists[i].Mode, Files: []string{}}
		l.setHealth(snapshot.ListHealth(i, dns))
		switch {
		case s.File != nil:
			l.setFileStatus(s.File.Status())
		case s.Learned != nil:
			l.Learn, l.Entries = string(conf.Learn), snapshot.Learn.Count(conf.Action)
		default:
			l.setZones(conf.Zones, dns.Zones)
		}
		all = append(all, l)
	}
	return all
}

func (l *ListStatus) setHealth(h state.Health) {
	l.State, l.Error, l.Since = StateOK, h.Error, h.Since
	switch {
	case h.Unavailable:
		l.State = StateUnavailable
	case h.IsDegraded():
		l.State = StateDegraded
	}
}

func (l *ListStatus) setFileStatus(status listfile.Status) {
	l.Entries, l.Files, l.Expires = status.Entries, append(l.Files, status.Files...), status.ExpiresAt
	if !status.Loaded.IsZero() {
		l.Loaded = &status.Loaded
	}
	l.Skipped = status.Skipped.Total
	for _, p := range status.Skipped.First {
		l.Lines = append(l.Lines, p.Error())
	}
	if ps, ok := errors.AsType[*diag.Problems](status.Fault()); ok {
		for _, p := range ps.First {
			l.Problems = append(l.Problems, p.Error())
		}
	}
}

func (l *ListStatus) setZones(spec dnsbl.Spec, all []dnsbl.ZoneStats) {
	for _, z := range spec.Zones {
		if i := slices.IndexFunc(all, func(o dnsbl.ZoneStats) bool { return o.ZoneID == z.ID() }); i >= 0 {
			l.Zones = append(l.Zones, all[i])
		}
	}
}
