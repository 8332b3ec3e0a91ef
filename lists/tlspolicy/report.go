package tlspolicy

import (
	"fmt"
	"strings"
	"time"
)

// Report is what a Monitor knows.
type Report struct {
	Active  bool     `json:"active"`
	Why     string   `json:"why"`
	Domains []Domain `json:"domains"`
}

// Domain is what is known of one domain.
type Domain struct {
	Name       string     `json:"name"`
	Commitment Commitment `json:"commitment"`
	Why        string     `json:"why"`
	MTASTS     Status     `json:"mta_sts"`
	DANE       Status     `json:"dane"`
	Checked    time.Time  `json:"checked,omitzero"` // the last check by this process, whether or not it succeeded
	Error      string     `json:"error,omitempty"`  // of that check
}

// Status is what is known of the MTA-STS or of the DANE of a domain.
type Status struct {
	State   State     `json:"state"`
	ID      string    `json:"id,omitempty"`     // of the MTA-STS policy
	Host    string    `json:"host,omitempty"`   // the MX host that has TLSA records, or had when they may have been cached
	Until   time.Time `json:"until,omitzero"`   // until then caches may have the policy in mode enforce, or the records
	Checked time.Time `json:"checked,omitzero"` // the last check that succeeded
}

func (m *Monitor) Report() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	r := Report{Active: m.Active(), Why: "no domain is committed to STARTTLS", Domains: make([]Domain, 0, len(m.domains))}
	committed := 0
	for _, d := range m.domains {
		out := d.report(now)
		if out.Commitment != NoCommitment {
			committed++
		}
		r.Domains = append(r.Domains, out)
	}
	if first := m.committedDomain(now); first != nil && r.Active {
		r.Why = first.name + ": " + first.explain(now)
		if committed > 1 {
			r.Why += fmt.Sprintf(" (%d domains in all)", committed)
		}
	}
	return r
}

func (d *domain) report(now time.Time) Domain {
	out := Domain{
		Name: d.name, Commitment: d.summarize(now).Commitment, Why: d.explain(now), Checked: d.checked,
		MTASTS: Status{State: d.mtasts.State, ID: d.mtasts.ID, Checked: d.mtasts.Checked},
		DANE:   Status{State: d.dane.State, Checked: d.dane.Checked},
	}
	if p := &d.mtasts.Published; !p.expired(now) {
		out.MTASTS.Until = p.endTime()
	}
	if p := &d.dane.Published; d.dane.State != None || !p.expired(now) {
		out.DANE.Host, out.DANE.Until = p.ID, p.endTime()
	}
	var errs []string
	for _, of := range d.mechanisms() {
		if of.err != nil {
			errs = append(errs, of.name+": "+of.err.Error())
		}
	}
	out.Error = strings.Join(errs, "; ")
	return out
}
