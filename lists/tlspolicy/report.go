package tlspolicy

import (
	"fmt"
	"time"
)

// trouble is something that goes on, and is logged when it begins and daily.
type trouble struct {
	err         error // of a check
	since, said time.Time
}

// begins says whether to log now that it goes on.
func (t *trouble) begins(now time.Time) bool {
	const daily = 24 * time.Hour
	if t.since.IsZero() {
		t.since = now
	} else if ago := now.Sub(t.said); 0 <= ago && ago < daily {
		return false
	}
	t.said = now
	return true
}

// ends says whether to log now that it is over.
func (t *trouble) ends() bool {
	was := !t.since.IsZero()
	t.since = time.Time{}
	return was
}

// reportDomain logs how the last check of d went. The caller locks.
func (g *Monitor) reportDomain(d *domain, now time.Time) {
	log := g.log.WithField("domain", d.name)
	for _, t := range []struct {
		*trouble
		what    string
		unknown bool
		state   string
	}{
		{&d.stsTrouble, "MTA-STS", d.STS.State == MTASTSUnknown, string(d.STS.State)},
		{&d.daneTrouble, "DANE", d.DANE.State == DANEUnknown, string(d.DANE.State)},
	} {
		if t.err == nil {
			if t.ends() {
				log.Infof("%s of %s can be checked again: %s", t.what, d.name, t.state)
			}
		} else if t.begins(now) {
			means := "what was found before stays: " + t.state
			if t.unknown {
				means = "a promise of STARTTLS is assumed until it can"
			}
			log.WithError(t.err).Warnf("%s of %s cannot be checked since %s: %s", t.what, d.name, t.since.Format(time.RFC3339), means)
		}
	}
	if d.STS.State != MTASTSTesting || d.STS.promised(now) {
		d.testing.ends()
	} else if d.testing.begins(now) {
		log.Warnf("the MTA-STS policy of %s is in testing: nothing is held back for it yet, and senders report each session without STARTTLS (RFC 8460); once it says enforce, STARTTLS is hidden by your own list files only", d.name)
	}
}

// change logs it if the promise of d is not what it was. The caller locks.
func (g *Monitor) change(d *domain, now time.Time) {
	s := d.standing(now)
	if s == d.said {
		return
	}
	d.said = s
	log := g.log.WithField("domain", d.name)
	switch s.verdict {
	case Promised:
		log.Warnf("STARTTLS is promised to everybody for %s: %s", d.name, d.why(now))
	case Assumed:
		if s.dane == DANEUnsure { // of failed checks there is a line
			log.Warnf("for %s a promise of STARTTLS is assumed: %s", d.name, d.why(now))
		}
	case Free:
		log.Infof("STARTTLS is not promised for %s: %s", d.name, d.why(now))
	}
}

// judge finds out whether anything holds, and logs it if that changed; after a
// round of checks, also if it was never logged. The caller locks.
func (g *Monitor) judge(now time.Time, round bool) {
	first := g.holding(now)
	holds := first != nil
	changed := g.holds.Swap(holds) != holds
	if !changed && (g.judged || !round) || len(g.all) == 0 {
		return
	}
	g.judged = true
	if holds {
		g.log.Warnf("the guard holds: from now on STARTTLS is hidden by your own list files only, not by default, by DNS lists or by feeds; the reason is %s: %s. To end this, end the promise, or take the domain out of [guard]", first.name, first.why(now))
	} else {
		g.log.Info("the guard does not hold: no domain promises STARTTLS, and default, DNS lists and feeds may hide it")
	}
}

// Report is what is known, for those who want to see it.
type Report struct {
	Active  bool     `json:"active"`
	Why     string   `json:"why"`
	Domains []Domain `json:"domains"`
}

// Domain is what is known of one.
type Domain struct {
	Name       string      `json:"name"`
	Commitment Commitment  `json:"commitment"`
	Why        string      `json:"why"`
	MTASTS     MTASTSState `json:"mta_sts"`
	DANE       DANEState   `json:"dane"`
	Checked    time.Time   `json:"checked,omitzero"` // the last check by this process, good or not
	Error      string      `json:"error,omitempty"`  // of that check
}

// MTASTSState is what is known of the MTA-STS of a domain.
type MTASTSState struct {
	State   MTASTS    `json:"state"`            // what is published
	ID      string    `json:"id,omitempty"`     // of that policy
	Until   time.Time `json:"until,omitzero"`   // until then senders may remember that it was to be enforced
	Checked time.Time `json:"checked,omitzero"` // the last good check
}

// DANEState is what is known of the DANE of a domain.
type DANEState struct {
	State   DANE      `json:"state"`            // what is published
	Host    string    `json:"host,omitempty"`   // the MX host that has, or had, TLSA records
	Until   time.Time `json:"until,omitzero"`   // until then resolvers may remember the records, or that host
	Checked time.Time `json:"checked,omitzero"` // the last good check
}

// Report tells what is known now.
func (g *Monitor) Report() Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	s := Report{Active: g.Active(), Why: "no domain promises STARTTLS", Domains: make([]Domain, 0, len(g.all))}
	holding := 0
	for _, d := range g.all {
		v := d.commitment(now)
		if v != Free {
			holding++
		}
		out := Domain{Name: d.name, Commitment: v, Why: d.why(now), Checked: d.looked,
			MTASTS: MTASTSState{State: d.STS.State, ID: d.STS.ID, Checked: d.STS.Checked},
			DANE:   DANEState{State: d.DANE.State, Checked: d.DANE.Checked}}
		if !d.STS.Promise.ended(now) {
			out.MTASTS.Until = d.STS.Promise.until()
		}
		if until := d.DANE.Promise.until(); d.DANE.State != DANENone || now.Before(until) {
			out.DANE.Host, out.DANE.Until = d.DANE.Promise.By, until
		}
		for _, t := range []struct {
			what string
			err  error
		}{{"MTA-STS", d.stsTrouble.err}, {"DANE", d.daneTrouble.err}} {
			if t.err == nil {
				continue
			}
			if out.Error != "" {
				out.Error += "; "
			}
			out.Error += t.what + ": " + t.err.Error()
		}
		s.Domains = append(s.Domains, out)
	}
	if first := g.holding(now); first != nil && s.Active {
		s.Why = first.name + ": " + first.why(now)
		if holding > 1 {
			s.Why += fmt.Sprintf(" (%d domains in all)", holding)
		}
	}
	return s
}
