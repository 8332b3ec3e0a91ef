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
	Action   lists.Action      `json:"action"`
	Mode     lists.Mode        `json:"mode"`
	Loaded   *time.Time        `json:"loaded"` // time at which the entries in use were loaded; null: never
	Entries  int               `json:"entries"`
	Files    []string          `json:"files"`
	Error    string            `json:"error,omitempty"`         // why the last load failed, or why the list is unavailable
	Problems []string          `json:"problems,omitempty"`      // the first problems in Error, each with its position
	Skipped  int               `json:"skipped,omitempty"`       // lines of a feed that have no effect
	Lines    []string          `json:"skipped_lines,omitempty"` // the first of them, each with its position and why
	Zones    []dnsbl.ZoneStats `json:"zones,omitempty"`         // of a DNS list

	unavailable bool // else a list with an Error is degraded: in use as it was, since the last load failed
}

// listStates returns the state of each list, in the order of the config.
func (a *API) listStates() []ListStatus {
	snapshot := a.Manager.Snapshot()
	var dns state.DNSStats
	if snapshot.DNS != nil {
		dns = snapshot.DNS.Stats()
	}
	all := []ListStatus{}
	for i, s := range snapshot.Sources {
		conf := snapshot.Config.Lists[i]
		l := ListStatus{Name: conf.Name, Action: conf.Action, Mode: conf.Mode, Files: []string{}}
		if s.File != nil {
			l.setFileStatus(s.File.Status())
			if n := dns.Names; n != nil && n.State != "enabled" && s.File.UsesNames() {
				l.unavailable, l.Error = true, "it has host names, and reverse DNS is disabled: "+n.Error
			}
		} else {
			l.setZoneStatus(conf.Zones, dns.Zones)
		}
		all = append(all, l)
	}
	return all
}

func (l *ListStatus) setFileStatus(status listfile.Status) {
	l.Entries, l.Files = status.Entries, append(l.Files, status.Files...)
	l.unavailable = status.Loaded.IsZero() || status.Expired
	if !status.Loaded.IsZero() {
		l.Loaded = &status.Loaded
	}
	l.Skipped = status.Skipped.Total
	for _, p := range status.Skipped.First {
		l.Lines = append(l.Lines, p.Error())
	}
	if status.Expired {
		l.Error = "its files are older than expire_after, since " + status.ExpiresAt.Format(time.RFC3339)
	}
	if err := status.Fault(); err != nil {
		l.Error = err.Error()
		if ps, ok := errors.AsType[*diag.Problems](err); ok {
			for _, p := range ps.First {
				l.Problems = append(l.Problems, p.Error())
			}
		}
	}
}

// setZoneStatus sets the state of a DNS list. The list counts as unavailable while one of its zones is disabled, even if
// its other zones and the cache may still decide about some clients.
func (l *ListStatus) setZoneStatus(spec dnsbl.Spec, all []dnsbl.ZoneStats) {
	for _, z := range spec.Zones {
		i := slices.IndexFunc(all, func(o dnsbl.ZoneStats) bool { return o.ZoneID == z.ID() })
		if i < 0 {
			continue
		}
		l.Zones = append(l.Zones, all[i])
		if all[i].IPv6 != "enabled" && !all[i].ByName {
			l.Error = zoneError(z.Domain.String(), all[i].IPv6+" for IPv6 addresses", all[i].Error6)
		}
		if all[i].State != "enabled" {
			l.unavailable, l.Error = true, zoneError(z.Domain.String(), all[i].State, all[i].Error)
		}
	}
}

// zoneError says in which state a zone is, and why, if that is known.
func zoneError(zone, state, why string) string {
	text := "zone " + zone + " is " + state
	if why != "" {
		text += ": " + why
	}
	return text
}
