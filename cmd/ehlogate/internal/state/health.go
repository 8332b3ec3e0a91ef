package state

import (
	"fmt"
	"slices"
	"time"

	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
)

// Health is what an alarm needs to know of a list or of the config. The zero value is well.
type Health struct {
	// Unavailable means that the list decides about no client, or not about all. If it is false and there is an Error, the
	// list or the config is degraded: in use as it was, since its last edit was refused or its files cannot be read.
	Unavailable bool
	Error       string
	Since       time.Time // of the fault; zero: it is well
}

// IsDegraded reports whether there is a fault that leaves the list or the config in use.
func (h Health) IsDegraded() bool { return h.Error != "" && !h.Unavailable }

// ListHealth returns the health of list i. dns is the state of DNS now.
func (s *Snapshot) ListHealth(i int, dns DNSStats) Health {
	source := s.Sources[i]
	if source.Learned != nil {
		st := s.Learn.Status()
		return Health{Error: st.Error, Since: st.Since}
	}
	if source.File == nil {
		return zonesHealth(s.Config.Lists[i].Zones, dns.Zones)
	}
	h := fileHealth(source.File.Status())
	if n := dns.Names; n != nil && n.State != "enabled" && source.File.UsesNames() {
		h = Health{true, "it has host names, and reverse DNS is disabled: " + n.Error, n.Since}
	}
	return h
}

// NeverHealth returns the health of the list of [learn] never. What lists learn depends on it, and nothing else.
func (s *Snapshot) NeverHealth() Health {
	if s.Never == nil {
		return Health{}
	}
	h := fileHealth(s.Never.Status())
	h.Unavailable = false
	return h
}

func fileHealth(status listfile.Status) (h Health) {
	h.Unavailable = status.Loaded.IsZero() || status.Expired
	if status.Expired {
		h.Error, h.Since = "its files are older than expire_after, since "+status.ExpiresAt.Format(time.RFC3339), status.ExpiresAt
	}
	if err := status.Fault(); err != nil {
		h.Error = err.Error()
		if h.Since.IsZero() {
			h.Since = status.FaultSince
		}
	}
	return h
}

// zonesHealth returns the health of a DNS list. It counts as unavailable while one of its zones is disabled, even if its
// other zones and the cache may still decide about some clients.
func zonesHealth(spec dnsbl.Spec, all []dnsbl.ZoneStats) (h Health) {
	for _, z := range spec.Zones {
		i := slices.IndexFunc(all, func(o dnsbl.ZoneStats) bool { return o.ZoneID == z.ID() })
		if i < 0 {
			continue
		}
		if zone := all[i]; zone.State != "enabled" {
			h = Health{true, fmt.Sprintf("zone %s is %s", z.Domain, zone.State), zone.Since}
			if zone.Error != "" {
				h.Error += ": " + zone.Error
			}
		}
	}
	return h
}

// configFault is why the config in use is not as its file.
type configFault struct {
	err   error
	since time.Time // of the first refusal in a row
}

// ReloadError returns why the last reload failed; nil if it succeeded.
func (m *Manager) ReloadError() error {
	if f := m.configFault.Load(); f != nil {
		return f.err
	}
	return nil
}

// ConfigHealth returns the health of the config.
func (m *Manager) ConfigHealth() Health {
	if f := m.configFault.Load(); f != nil {
		return Health{Error: f.err.Error(), Since: f.since}
	}
	return Health{}
}

// setConfigFault records that a reload failed; nil: it succeeded.
func (m *Manager) setConfigFault(err error) {
	if err == nil {
		m.configFault.Store(nil)
		return
	}
	next := configFault{err, m.clock()}
	if before := m.configFault.Load(); before != nil {
		next.since = before.since
	}
	m.configFault.Store(&next)
}
