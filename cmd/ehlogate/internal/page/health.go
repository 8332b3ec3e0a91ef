package page

import (
	"fmt"
	"time"

	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/lists"
)

// health is whether all is well.
type health struct {
	State   string // as in /healthz
	Text    string
	Reasons []reason // why not
	Notes   []reason // what is worth a look, and no fault
	More    int      // reasons that have no space
}

// reason is something that an operator should know.
type reason struct {
	What string
	Age  cell // since when
	Do   string
}

// maxReasons is how many reasons are shown.
const maxReasons = 20

// summaries are the first line of the page, by the state of the daemon.
var summaries = map[string]string{
	httpapi.StateOK:          "All is well",
	httpapi.StateDegraded:    "Degraded: ehlogate answers as before, and something needs a look",
	httpapi.StateUnavailable: "Something is unavailable",
}

// adviseExposed says what to do about clients that submit mail without TLS.
const adviseExposed = `Hide STARTTLS on port 25 alone: with Postfix, set smtpd_discard_ehlo_keyword_address_maps in master.cf for that service. "ehlogate doctor" names the service that has it.`

func (v *view) addHealth() {
	h := v.page.api.Health(v.lists)
	v.Health = health{State: h.Status, Text: summaries[h.Status]}
	for _, at := range h.NotServed {
		v.addReason("ehlogate does not listen: "+at, time.Time{}, `The log says why (journalctl -u ehlogate). Free the address or change [listen], then run "systemctl restart ehlogate".`)
	}
	if h.Exposed.IsRecent(v.Now) {
		v.addReason(h.Exposed.String(), h.Exposed.Last, adviseExposed+" This is a fault for a day after the last such session.")
	}
	if h.ConfigError != "" {
		v.addReason("The last edit of the config was refused; the config before it is in use: "+h.ConfigError, h.ConfigErrorSince,
			`Mend it until "ehlogate check" finds no error, then run "systemctl reload ehlogate".`)
	}
	for i := range h.Lists {
		l := &h.Lists[i]
		v.addReason(fmt.Sprintf("List %q is %s: %s", l.Name, l.State, l.Error), l.Since, adviseList(l))
	}
	if h.NeverError != "" {
		v.addReason("The list of [learn] never cannot be read: "+h.NeverError, h.NeverErrorSince, "Mend the file; it is read again by itself.")
	}
	for _, l := range h.Logs {
		if l.IsDegraded() {
			v.addReason("A log of [logs] cannot be read: "+l.Error, l.Since, `Make it readable for the user ehlogate; "ehlogate doctor" says how. No decision depends on it but what lists learn.`)
		}
	}
	if h.Learned != nil && h.Learned.IsDegraded() {
		do := "Make the directory of [learn] state writable for the user ehlogate, and space on its disk. Until then lists answer by what they know."
		if h.Learned.BreakerIsOpen() {
			do = "This mail server may be at fault: look at its certificate, its TLS settings and its log. Lists learn again by themselves."
		}
		v.addReason("Lists learn nothing, or lost what they had learned: "+h.Learned.Error, h.Learned.Since, do)
	}
	v.addReports(h.Reports)
	if h.Pressure != nil && h.Pressure.IsDegraded() {
		v.addReason("The CPU pressure cannot be read, so cpu_pressure sets no limit: "+h.Pressure.Error, h.Pressure.Since, `Run "ehlogate doctor", or set offers_per_second in [limit].`)
	}
	v.addNotes(h)
}

// adviseList returns what helps a list.
func adviseList(l *httpapi.ListStatus) string {
	effect := ""
	switch {
	case l.State != httpapi.StateUnavailable:
	case l.Action == lists.Suppress || l.Action == lists.NoAction || l.Mode == lists.Observe:
		effect = " Until then the list is skipped."
	default:
		effect = " Until then clients that match no list before it are offered STARTTLS."
	}
	switch {
	case len(l.Zones) > 0:
		return `"ehlogate doctor" asks the resolver and the zone.` + effect
	case l.Learn != "":
		return "See below."
	}
	return `Mend the file until "ehlogate check" finds no error, or have the feed fetched again; it is read by itself.` + effect
}

func (v *view) addReports(r *httpapi.ReportsHealth) {
	if r == nil {
		return
	}
	if r.Error != "" {
		v.addReason("The file of [tlsrpt] cannot be read: "+r.Error, r.Since, "Make it readable for the user ehlogate, or remove it.")
	}
	for _, f := range r.Findings {
		v.addReason(fmt.Sprintf("%s kept mail for %s back, since STARTTLS is hidden from its server %s (%s %s)", f.Organization, f.Domain, f.Address, f.Reason, f.List), f.Time,
			"Offer STARTTLS to this client on a list before that one, or remove the entry.")
	}
}

func (v *view) addReason(what string, since time.Time, do string) {
	if len(v.Health.Reasons) >= maxReasons {
		v.Health.More++
		return
	}
	v.Health.Reasons = append(v.Health.Reasons, v.newReason(what, since, do))
}

func (v *view) newReason(what string, since time.Time, do string) reason {
	return reason{v.take(what, maxText), v.age(since), do}
}

// addNotes adds what is no fault.
func (v *view) addNotes(h httpapi.Health) {
	note := func(what string, since time.Time, do string) {
		v.Health.Notes = append(v.Health.Notes, v.newReason(what, since, do))
	}
	if e := h.Exposed; e != nil && !e.IsRecent(v.Now) {
		note(e.String(), e.Last, adviseExposed)
	}
	if v.snapshot.Policy.Mode == lists.Observe {
		note(`mode = "observe": no decision has an effect.`, time.Time{}, `Set mode = "enforce" once what would be hidden (below) is what you want.`)
	}
	if s := h.Shared; s != nil {
		shared := running.SharedAddress(*s)
		note(fmt.Sprintf("Clients seem to share the address %s, and with it one decision: %s.", s.Addr, &shared), time.Time{},
			"Let the mail server see the addresses of clients (PROXY protocol, host network). If it is one client, put it on an offer list.")
	}
	if n := len(h.Skipped); n > 0 {
		lines := 0
		for _, skipped := range h.Skipped {
			lines += skipped
		}
		note(fmt.Sprintf("%s of %s have no effect: they are invalid, or match no client.", count(lines, "line"), count(n, "feed")), time.Time{}, `"ehlogate check" shows them.`)
	}
}
