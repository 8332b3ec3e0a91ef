package replay

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
)

// LearnedReport is what lists of one kind would have learned.
type LearnedReport struct {
	Clients  int64     `json:"clients"`  // that were learned
	Ended    int64     `json:"ended"`    // of these, the clients that a list did not have any more at the end of the log
	Sessions int64     `json:"sessions"` // that the lists matched, also in observe mode
	Breaker  int64     `json:"breaker"`  // how often the circuit breaker stopped learning
	Top      []Learned `json:"top"`      // --top of the clients
}

// Learned is a client that was learned.
type Learned struct {
	Addr     string    `json:"addr"` // or an IPv6 /64
	Name     string    `json:"name,omitempty"`
	Since    time.Time `json:"since"`
	Action   string    `json:"action,omitempty"`   // of the list
	Class    string    `json:"class,omitempty"`    // of the failures
	Days     int       `json:"days,omitempty"`     // with accepted mail
	Sessions int       `json:"sessions,omitempty"` // with accepted mail
	Last     string    `json:"last,omitempty"`     // what happened last to the entry: an event in ehlogate_learned_events_total
	LastTime time.Time `json:"last_time,omitzero"`
	Reason   string    `json:"reason,omitempty"` // for that
}

// learnedTally counts what happened to lists that learn.
type learnedTally struct {
	at               time.Time // in the log
	fallback, earned learnedCount
	entries          map[netip.Addr]*Learned   // that fallback lists had; not more than maxNames
	left             map[netip.Prefix]struct{} // clients that earned the offer, and lost it
	names            map[netip.Prefix]string   // of those that have it; not more than maxNames
}

// learnedCount counts what matters of one kind of list.
type learnedCount struct{ clients, ended, sessions, breaker int64 }

func newLearnedTally() learnedTally {
	return learnedTally{entries: map[netip.Addr]*Learned{}, left: map[netip.Prefix]struct{}{}, names: map[netip.Prefix]string{}}
}

// countSession counts a session that a list matches.
func (t *learnedTally) countSession(isEarned bool) {
	if isEarned {
		t.earned.sessions++
	} else {
		t.fallback.sessions++
	}
}

func (t *learnedTally) noteFallback(e fallback.Event) {
	if e.Kind == fallback.EventBreakerOpen {
		t.fallback.breaker++
	}
	c := t.entries[e.Client]
	switch e.Kind {
	case fallback.EventLearned:
		switch {
		case c != nil && c.hasEnded():
			t.fallback.ended--
		case c == nil && len(t.entries) < maxNames:
			c = &Learned{Addr: e.Client.String(), Since: t.at.UTC(), Class: e.Class.String()}
			t.entries[e.Client] = c
			t.fallback.clients++
		}
	case fallback.EventRepaired, fallback.EventEnded, fallback.EventWithdrawn, fallback.EventLeftAlone:
		if c != nil && !c.hasEnded() {
			t.fallback.ended++
		}
	case fallback.EventConfirmed, fallback.EventDormant, fallback.EventSuppressed:
	default:
		return
	}
	if c == nil {
		return
	}
	c.Last, c.LastTime, c.Reason, c.Action = string(e.Kind), t.at.UTC(), e.Reason, e.Action.String()
	if e.Name != "" {
		c.Name = e.Name
	}
}

// hasEnded reports whether there is no entry any more.
func (c *Learned) hasEnded() bool {
	switch fallback.EventKind(c.Last) {
	case fallback.EventRepaired, fallback.EventEnded, fallback.EventWithdrawn, fallback.EventLeftAlone:
		return true
	}
	return false
}

func (t *learnedTally) noteEarned(e earned.Event) {
	if e.Kind == earned.EventLeft {
		t.left[e.Client] = struct{}{}
		delete(t.names, e.Client)
		return
	}
	delete(t.left, e.Client)
	if e.Name != "" && len(t.names) < maxNames {
		t.names[e.Client] = e.Name
	}
}

// report adds to a report what was learned, with at most top clients of each kind.
func (l *learning) report(r *Report, top int) {
	t := &l.tally
	if l.fallback != nil {
		r.Fallback = t.fallback.report(t.topEntries(top))
	}
	if l.earned == nil {
		return
	}
	found, err := l.earned.Report(l.store, l.now, top)
	l.note(err)
	left := int64(len(t.left))
	t.earned.clients, t.earned.ended = int64(found.Clients)+left, left
	r.Earned = t.earned.report([]Learned{})
	for _, c := range found.Top {
		r.Earned.Top = append(r.Earned.Top, Learned{Addr: c.Client, Name: t.names[parseClient(c.Client)], Since: c.Since, Days: c.Days, Sessions: c.Sessions})
	}
}

func (c learnedCount) report(top []Learned) *LearnedReport {
	return &LearnedReport{c.clients, c.ended, c.sessions, c.breaker, top}
}

// topEntries returns the clients that were learned first.
func (t *learnedTally) topEntries(top int) []Learned {
	all := []Learned{}
	for _, c := range t.entries {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Learned) int {
		if n := a.Since.Compare(b.Since); n != 0 {
			return n
		}
		return netip.MustParseAddr(a.Addr).Compare(netip.MustParseAddr(b.Addr))
	})
	return all[:min(len(all), top)]
}

// parseClient reads an address, or a network.
func parseClient(s string) netip.Prefix {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, _ := netip.ParsePrefix(s)
	return p
}

func (c Learned) id() (addr, name string) { return c.Addr, c.Name }

// describe returns what a report says of a client that a fallback list learned.
func (c Learned) describe() string {
	text := fmt.Sprintf("%s since %s, %s; %s at %s", c.Action, stampText(c.Since), c.Class, c.Last, stampText(c.LastTime))
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// describeEarned returns what a report says of a client that earned the offer.
func (c Learned) describeEarned() string {
	return fmt.Sprintf("since %s, %s with accepted mail, on %s", stampText(c.Since), plural(int64(c.Sessions), "session"), plural(int64(c.Days), "day"))
}

// describe returns what a line of a report says of the lists.
func (r *LearnedReport) describe() string {
	ended := ""
	if r.Ended > 0 {
		ended = fmt.Sprintf(", %s no longer at the end", thousands(r.Ended))
	}
	text := fmt.Sprintf("%s%s; %s", noun(r.Clients, "client"), ended, plural(r.Sessions, "session"))
	if r.Breaker > 0 {
		text += fmt.Sprintf("; the circuit breaker stopped it %s", plural(r.Breaker, "time"))
	}
	return text
}
