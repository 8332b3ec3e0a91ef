package page

import (
	"strings"

	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/lists/tlspolicy"
)

func (v *view) addGuard() {
	guard := v.snapshot.Guard
	if guard == nil {
		v.Unused = append(v.Unused, "[guard]")
		return
	}
	r := guard.Report()
	lead := v.say("Inactive: %s.", r.Why)
	if r.Active {
		lead = v.say("Active: only your own list files hide STARTTLS. %s.", strings.TrimSuffix(r.Why, "."))
	}
	t := newTable("Domains that are served here, and what they published", "Domain", "Commitment", "MTA-STS", "DANE", "Checked", "wide:Why", "wide:Last error")
	for i := range r.Domains {
		d := &r.Domains[i]
		v.add(t, cell{Text: d.Name}, cell{Text: string(d.Commitment)}, policyCell(d.MTASTS), policyCell(d.DANE), v.age(d.Checked), cell{Text: d.Why}, cell{Text: d.Error})
	}
	overridden := v.say("%s overridden since the start.", count(v.page.api.Recorder.Overridden(), "suppression"))
	v.addSection(section{ID: "guard", Title: "Guard", Lead: []string{lead, overridden}, Tables: []*table{t}})
}

func policyCell(s tlspolicy.Status) cell {
	c := cell{Text: string(s.State)}
	if s.Host != "" {
		c.Lines = []string{s.Host}
	}
	return c
}

func (v *view) addLimit() {
	limiter := v.snapshot.Limiter
	if limiter == nil {
		v.Unused = append(v.Unused, "[limit]")
		return
	}
	st := limiter.Stats()
	t := newTable("The limit for clients on no list, since the start", "State", "number:Offered", "number:Hidden", "number:Of them by CPU pressure", "number:Offered since a list was unavailable")
	state := cell{Text: "open", State: httpapi.StateOK}
	if st.Exhausted {
		state = cell{Text: "exhausted", State: httpapi.StateDegraded}
	}
	v.add(t, state, number(st.Offered), number(st.Suppressed), number(st.Refused), number(st.FailOpen))
	s := section{ID: "limit", Title: "Limit", Tables: []*table{t}}
	if st.Exhausted {
		s.Lead = append(s.Lead, "A client on no list that connects now is not offered STARTTLS.")
	}
	if p := v.snapshot.Pressure; p != nil {
		status := p.Status()
		s.Lead = append(s.Lead, v.say("CPU pressure: %s.", &status))
	}
	v.addSection(s)
}
