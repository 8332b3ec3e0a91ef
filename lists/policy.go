package lists

import (
	"context"
	"net/netip"
	"time"
)

// Guard knows whether a domain served here promised STARTTLS to all clients, by MTA-STS (RFC 8461) or DANE (RFC 7672).
type Guard interface {
	// Active reports so, at once. While it does, only lists that the operator wrote can suppress.
	Active() bool
}

// Limiter decides about clients that are on no list, in place of a fixed default.
type Limiter interface {
	// Decide decides about a new session of the client at addr: Offer or Suppress, and ReasonLimit or ReasonPressure.
	Decide(addr netip.Addr) (Action, Reason)
	// LastDecision returns what Decide returned last for addr, if that is remembered, else what it would return. It changes
	// nothing. It is for reports on a session.
	LastDecision(addr netip.Addr) (Action, Reason)
	// Charge counts a new session that was offered STARTTLS before the default applied, because a list was unavailable.
	Charge(addr netip.Addr)
}

// FailOpenLog remembers clients that were offered STARTTLS because something was unavailable. Reports on their sessions
// must not contradict that when it becomes known.
type FailOpenLog interface {
	// Record notes for a new session whether it had such an offer.
	Record(addr netip.Addr, failedOpen bool)
	// Recorded reports whether the client's last session had one.
	Recorded(addr netip.Addr) bool
}

// Policy is an ordered set of lists and a default for all clients that are on no list. It is not changed after its first
// Decide; a new one replaces it.
type Policy struct {
	Lists    []*List
	Default  Action  // Offer or Suppress
	Limit    Limiter // if not nil, decides in place of Default
	Mode     Mode
	Names    NameVerifier  // nil: only names that the mail server passes on
	Guard    Guard         // nil: no list is overridden
	FailOpen FailOpenLog   // nil: no source is ever pending
	Wait     time.Duration // for pending lookups, in all of a question
	// Settings belongs to the policy and decides nothing, such as how a decision is put into words. It is handed on with each
	// decision, so that an answer is made from one state.
	Settings any
}

// Decide answers for one client, about a new session. It is total: there is no error, and whatever is not known ends with
// Offer. It waits for pending lookups until Wait is over or ctx ends.
//
// The first enforcing list that matches c decides. An observing list that matches c is noted and the walk goes on. An
// unavailable offer or require list ends the walk with Offer, since it could have matched c. An unavailable suppress list
// is skipped, since the worst it can miss is a failed handshake; so is an unavailable observing list, which could not have
// changed anything.
//
// Every list that matches c adds to Hide, whichever list decides. To a client of a submission service STARTTLS is always
// offered.
func (p *Policy) Decide(ctx context.Context, c Client) Decision {
	return p.decide(ctx, c, false)
}

// Review is Decide for reports on a session that was decided before. It does not count as a session of its own, and an
// offer that was made because something was unavailable stays one when it is available again.
func (p *Policy) Review(ctx context.Context, c Client) Decision {
	return p.decide(ctx, c, true)
}

// DecideCached is Decide without a wait: a pending list counts as unavailable at once.
func (p *Policy) DecideCached(c Client) Decision {
	w := walk{policy: p, client: c}
	w.visitLists()
	return w.decide()
}

// ReviewCached is Review without a wait.
func (p *Policy) ReviewCached(c Client) Decision {
	w := walk{policy: p, client: c, review: true}
	w.visitLists()
	return w.decide()
}

func (p *Policy) decide(ctx context.Context, c Client, review bool) Decision {
	w := walk{policy: p, client: c, review: review}
	if w.visitLists(); w.pending && ctx.Err() == nil {
		w.waitAndRevisit(ctx, c)
	}
	return w.decide()
}

// decide makes the decision that follows from the lists.
func (w *walk) decide() Decision {
	p := w.policy
	d := Decision{Verdict: w.decideAction(), Observed: w.observed, Hidden: w.hidden, Settings: p.Settings}
	if p.Mode == Observe {
		d.Hidden = d.Hidden.observed()
		if d.Action != Offer {
			d.Observed = append(d.Observed, d.Verdict)
			d.Verdict = Verdict{Action: Offer, Reason: ReasonObserve}
		}
	}
	return d
}

// decideAction makes the part of the decision that is about STARTTLS.
func (w *walk) decideAction() Verdict {
	p, addr := w.policy, w.client.Addr
	if w.client.Service == Submission {
		return Verdict{Action: Offer, Reason: ReasonSubmission}
	}
	var v Verdict
	if w.decided {
		if v = w.verdict; v.Reason == ReasonUnavailable && p.Limit != nil && !w.review && addr.IsValid() {
			p.Limit.Charge(addr)
		}
	} else {
		v = w.decideByDefault()
	}
	if p.FailOpen != nil && addr.IsValid() {
		switch {
		case !w.review:
			p.FailOpen.Record(addr, w.unsure && v.Action == Offer)
		case v.Action != Offer && p.FailOpen.Recorded(addr):
			v = Verdict{Action: Offer, Reason: ReasonUnavailable}
		}
	}
	return v
}

// decideByDefault decides if no list does.
func (w *walk) decideByDefault() Verdict {
	p, addr := w.policy, w.client.Addr
	v := Verdict{Action: p.Default, Reason: ReasonDefault}
	switch {
	case p.Limit == nil && p.Default == Offer:
		return v
	case !addr.IsValid():
		return Verdict{Action: Offer, Reason: ReasonNoAddress}
	case w.isGuarded():
		if p.Limit != nil {
			if v = p.decideByLimit(addr, w.review); v.Action == Offer {
				return v
			}
		}
		v.Overridden = true
		w.observed = append(w.observed, v)
		return Verdict{Action: Offer, Reason: ReasonGuard}
	case p.Limit == nil:
		return v
	}
	return p.decideByLimit(addr, w.review)
}

func (p *Policy) decideByLimit(addr netip.Addr, review bool) Verdict {
	var v Verdict
	if review {
		v.Action, v.Reason = p.Limit.LastDecision(addr)
	} else {
		v.Action, v.Reason = p.Limit.Decide(addr)
	}
	return v
}
