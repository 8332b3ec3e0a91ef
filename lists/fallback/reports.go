package fallback

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// maxCandidates bounds a report.
const maxCandidates = 100

// Report describes all that was learned, as it is after the last call, without lines of logs. It changes nothing.
func (l *Learner) Report(tx learnstore.Tx, now learnstore.Moment) (Report, error) {
	b := &l.state.breaker
	r := Report{
		Entries: []EntryReport{}, Candidates: []ClientReport{}, Advice: []Advice{},
		Evidence: l.clients.records(tx).Count(), Immune: l.immune.count(tx), LeftAlone: l.alone.records(tx).Count(),
		Breaker: BreakerReport{Open: b.open, Reason: b.reason, Since: b.since},
		Cap: CapReport{
			Entries: len(l.entries), MaxEntries: l.options.MaxEntries,
			Suppressed: int(min(l.budget.used.Load(), l.budget.allowed.Load())), Allowed: int(l.budget.allowed.Load()),
		},
	}
	if b.open {
		r.Breaker.Rest = max(0, b.closes-now.Followed)
	}
	failing := map[maillog.Class]int{}
	for _, e := range l.sortedEntries() {
		r.Entries = append(r.Entries, l.describeEntry(e, withoutLines))
		failing[e.class]++
	}
	if err := l.findCandidates(tx, now, &r, failing); err != nil {
		return r, err
	}
	r.Advice = advise(failing)
	return r, nil
}

// findCandidates adds the clients with most evidence, and counts how all clients with evidence fail.
func (l *Learner) findCandidates(tx learnstore.Tx, now learnstore.Moment, r *Report, failing map[maillog.Class]int) error {
	type candidate struct {
		addr netip.Addr
		*evidence
	}
	var best []candidate
	shrink := func(to int) {
		slices.SortStableFunc(best, func(a, b candidate) int { return cmp.Compare(len(b.proofs), len(a.proofs)) })
		best = best[:min(to, len(best))]
	}
	err := l.clients.records(tx).ForEach(func(key, value []byte) error {
		addr, ok := netip.AddrFromSlice(key)
		if !ok || len(value) < stampLength {
			return nil
		}
		v := decodeEvidence(value[stampLength:])
		if v == nil {
			return nil
		}
		if v.proofs = l.options.keepFresh(now, l.state.closes, v.proofs); len(v.proofs) > 0 {
			failing[v.class]++
			if best = append(best, candidate{addr.Unmap(), v}); len(best) > 8*maxCandidates {
				shrink(maxCandidates)
			}
		}
		return nil
	})
	shrink(maxCandidates)
	for _, c := range best {
		client := lists.Client{Addr: c.addr, Name: c.name}
		r.Candidates = append(r.Candidates, ClientReport{
			Client: c.addr, Name: c.name, Evidence: showProofs(c.class, c.proofs, withoutLines), NotLearned: l.explainAbsence(tx, now, client, c.evidence),
		})
	}
	return err
}

// Client describes what is known of one client. It changes nothing.
func (l *Learner) Client(tx learnstore.Tx, now learnstore.Moment, client netip.Addr) (ClientReport, error) {
	c := lists.Client{Addr: plainAddr(client)}
	r := ClientReport{Client: c.Addr, Evidence: []Proof{}, NotLearned: []string{}}
	if !c.Addr.IsValid() {
		return r, errors.New("invalid address: write an IPv4 or IPv6 address")
	}
	record, _ := l.clients.find(tx, addrKey(c.Addr))
	v := decodeEvidence(record)
	if v == nil {
		v = &evidence{}
	}
	v.proofs = l.options.keepFresh(now, l.state.closes, v.proofs)
	c.Name, r.Evidence = v.name, showProofs(v.class, v.proofs, withLines)
	if e := l.entries[c.Addr]; e != nil {
		shown := l.describeEntry(e, withLines)
		r.Entry, c.Name = &shown, e.name
	} else {
		r.NotLearned = l.explainAbsence(tx, now, c, v)
	}
	r.Name, r.LeftAlone = c.Name, l.findAlone(tx, now, c.Addr)
	r.Immune, r.ImmuneFor = l.findImmunity(tx, now, c, lists.Suppress)
	return r, nil
}

// explainAbsence returns why a client has no entry.
func (l *Learner) explainAbsence(tx learnstore.Tx, now learnstore.Moment, c lists.Client, v *evidence) []string {
	why := []string{}
	o := &l.options
	if !o.isEnough(v.proofs) {
		why = append(why, fmt.Sprintf("%d of %d failures in the same way that say that it is incapable of TLS, each %s after the one before, over at least %s within %s",
			min(len(v.proofs), o.Sessions), o.Sessions, formatSpan(o.Spacing), formatSpan(o.Span), formatSpan(o.MaxAge)))
	}
	return append(why, slices.Collect(l.findObstacles(tx, now, c, l.chooseAction(v.class)))...)
}

// What showProofs shows. The lines of all clients would be most of a report.
const (
	withoutLines = false
	withLines    = true
)

func showProofs(class maillog.Class, proofs []proof, lines bool) []Proof {
	shown := []Proof{}
	for _, p := range proofs {
		one := Proof{Time: p.time, Class: class.String(), Server: p.server.String(), Service: p.service, Version: p.version}
		if lines {
			one.Line = p.line
		}
		shown = append(shown, one)
	}
	return shown
}

func (l *Learner) describeEntry(e *entry, lines bool) EntryReport {
	r := EntryReport{
		Client: e.addr, Name: e.name, Action: e.action.String(), Class: e.class.String(), State: "dormant",
		Made: e.made.Wall, LastUntil: e.made.Wall.Add(l.options.TotalLife), Confirmations: e.confirmations,
		Sessions: e.sessions + int(e.probe.answered.Load()), Messages: e.messages, Probes: e.probes + int(e.probe.probes.Load()),
		Evidence: showProofs(e.class, e.proofs, lines),
		Frees:    "a handshake that it completes, or the end of its life",
	}
	if e.live {
		r.State, r.Until = "live", e.until.Wall
	} else {
		r.Frees = "a handshake that it completes; it is offered STARTTLS now, and another failure in the same way confirms the entry"
	}
	if e.probes > 0 {
		r.LastProbe = new(e.lastProbe.Wall)
	}
	return r
}

// advise returns what would help instead of entries, the most clients first.
func advise(failing map[maillog.Class]int) []Advice {
	all := []Advice{}
	for class, n := range failing {
		all = append(all, Advice{class.String(), n, DescribeRemedy(class)})
	}
	slices.SortFunc(all, func(a, b Advice) int {
		return cmp.Or(cmp.Compare(b.Clients, a.Clients), cmp.Compare(a.Class, b.Class))
	})
	return all
}

// DescribeRemedy returns what would help clients that are incapable of TLS for a reason.
func DescribeRemedy(class maillog.Class) string {
	switch {
	case isVersionClass(class):
		return "they speak old versions of TLS only: if the mail server allowed TLS 1.0 (Postfix: smtpd_tls_protocols = >=TLSv1), they would encrypt"
	case helpsOldTLS(class):
		return "they have no cipher, key or signature in common with the mail server: old ciphers, or an RSA certificate beside an ECDSA one, may help"
	}
	return "neither old versions of TLS nor old ciphers would help: look at one session with tcpdump, or suppress STARTTLS for them"
}
