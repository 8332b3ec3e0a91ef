package lists

import (
	"context"
	"net/netip"
	"time"
)

// Verdict is an action and why.
type Verdict struct {
	Action Action
	Reason Reason
	List   *List // the list that decided; nil if none did
	// Overridden: the guard kept it from taking effect.
	Overridden bool

	match Match
	addr  netip.Addr
}

// ListName is the name of the list that decided, "" if none did.
func (v Verdict) ListName() string {
	if v.List == nil {
		return ""
	}
	return v.List.Name
}

// Entry describes the deciding entry; it is zero unless Reason is
// ReasonListed.
func (v Verdict) Entry() Entry {
	return v.match.Entry(v.addr)
}

// Decision is the verdict that takes effect, and the verdicts that would have
// taken effect if their list, or the whole policy, did not merely observe.
type Decision struct {
	Verdict
	// Observed are those of lists that observe or are held back, in the order of
	// the walk, and that of the default if it is held back. If Reason is
	// ReasonObserve, the last is what would take effect if the policy as a
	// whole did not observe. Nil as a rule.
	Observed []Verdict
	// Settings are those of the policy that decided; nil: none did.
	Settings any
}

// WithoutObserve is the verdict that would take effect if nothing observed as a whole,
// and those that lists, or the guard, keep from taking effect.
func (d Decision) WithoutObserve() (v Verdict, observing []Verdict) {
	if d.Reason == ReasonObserve {
		last := len(d.Observed) - 1
		return d.Observed[last], d.Observed[:last]
	}
	return d.Verdict, d.Observed
}

// Guard knows whether STARTTLS was promised to everybody, by MTA-STS (RFC
// 8461) or DANE (RFC 7672), for a domain that is served here.
type Guard interface {
	// Active says so, at once. While it does, only what an operator wrote may
	// suppress.
	Active() bool
}

// Limiter decides about clients that no list holds, where that is more than
// one word.
type Limiter interface {
	// Decide decides about a new session of the client at addr: Offer or Suppress.
	Decide(addr netip.Addr) Action
	// LastDecision is what it was told last, if that is remembered, for those who
	// report on a session; else what it would be told. It changes nothing.
	LastDecision(addr netip.Addr) Action
	// Charge counts a new session that was offered STARTTLS before the default
	// was asked, since it could not be found out who the client is.
	Charge(addr netip.Addr)
}

// FailOpenLog remembers clients that were offered STARTTLS because something was not
// known, for those who report on their sessions when it is.
type FailOpenLog interface {
	// Record takes down a new session: whether it was such an offer.
	Record(addr netip.Addr, unsure bool)
	// Recorded says whether the client's last session was one.
	Recorded(addr netip.Addr) bool
}

// Policy is an ordered set of lists and what is done for everybody else. It
// is not changed after its first Decide; a new one replaces it.
type Policy struct {
	Lists    []*List
	Default  Action  // Offer or Suppress
	Limit    Limiter // if not nil, decides in place of Default
	Mode     Mode
	Names    NameVerifier  // nil: only what the mail server passes on
	Guard    Guard         // nil: nothing is held back
	FailOpen FailOpenLog   // nil: everything is known at once
	Wait     time.Duration // for what is not in memory, in all of a question
	// Settings is what belongs to the policy and decides nothing, such as how a
	// decision is put into words. It is handed on with each decision, so that
	// an answer is made from one state.
	Settings any
}

// Decide answers for one client, about a new session. It is total: there is no
// error, and whatever is not known ends with Offer. It waits no longer than
// ctx allows nor than Wait, and not at all if ctx is done.
//
// The first enforcing list that holds c decides. An observing list that holds
// c is noted and the walk goes on. An unavailable offer or require list ends the
// walk with Offer, since it might have held c; an unavailable suppress list is
// skipped, since the worst it can miss is a handshake; so is an unavailable
// observing list, which could have changed nothing.
func (p *Policy) Decide(ctx context.Context, c Client) Decision { return p.decide(ctx, c, false) }

// Review is Decide for those who report on a session that was decided before:
// it does not count as a session of its own, and an offer that was made because
// something was not known stays one when it is.
func (p *Policy) Review(ctx context.Context, c Client) Decision { return p.decide(ctx, c, true) }

func (p *Policy) decide(ctx context.Context, c Client, review bool) Decision {
	// What is in memory decides nearly always, and needs no clock and no timer.
	// If it does not, what was missing is under way when we wait.
	w := walk{policy: p, client: c}
	v, decided := w.decideByLists(noWait, p.Lists)
	if w.pending && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, p.Wait)
		w = walk{policy: p, client: c}
		v, decided = w.decideByLists(ctx, p.Lists)
		cancel()
	}
	switch {
	case !decided:
		v = w.decideByDefault(review)
	case v.Reason == ReasonUnavailable && p.Limit != nil && !review && c.Addr.IsValid():
		p.Limit.Charge(c.Addr)
	}
	if p.FailOpen != nil && c.Addr.IsValid() {
		switch {
		case !review:
			p.FailOpen.Record(c.Addr, w.unsure && v.Action == Offer)
		case v.Action != Offer && p.FailOpen.Recorded(c.Addr):
			v = Verdict{Action: Offer, Reason: ReasonUnavailable}
		}
	}
	d := Decision{Verdict: v, Observed: w.observed, Settings: p.Settings}
	if p.Mode == Observe && d.Action != Offer {
		d.Observed = append(d.Observed, d.Verdict)
		d.Verdict = Verdict{Action: Offer, Reason: ReasonObserve}
	}
	return d
}

// noWait is done: what is asked with it is answered from memory.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// walk is the way of one client through the lists.
type walk struct {
	policy   *Policy
	client   Client
	named    bool // it was tried to find out the client's name
	pending  bool // waiting might have shown more
	unsure   bool // an enforcing list could not be asked
	observed []Verdict
}

// decideByLists gives the verdict of the first of ls that decides, if one does.
func (w *walk) decideByLists(ctx context.Context, ls []*List) (v Verdict, decided bool) {
	for i, l := range ls {
		w.verifyName(ctx, l)
		found := l.Source.Lookup(ctx, w.client)
		switch {
		case found.Status == NoMatch, found.Status == Exception:
			continue
		case found.Status == Matched:
			v = Verdict{Action: l.Action, Reason: ReasonListed, List: l, match: found, addr: w.client.Addr}
			if l.Mode == Enforce {
				if v.Overridden = l.External && l.Action == Suppress && w.isGuarded(); !v.Overridden {
					return v, true
				}
			}
			w.observed = append(w.observed, v)
			continue
		case found.Status == Pending:
			w.pending = true
		}
		w.unsure = w.unsure || l.Mode == Enforce
		if l.Action != Suppress && l.Mode == Enforce {
			if found.Status == Pending {
				w.startRest(ls[i+1:])
			}
			return Verdict{Action: Offer, Reason: ReasonUnavailable, List: l}, true
		}
	}
	return Verdict{}, false
}

// startRest walks on through the lists behind one that is pending, as if that did not
// hold the client, so that what they do not know is under way beside it: one
// after another, each would take up the wait of a session. It ends where that walk
// would, so nobody is asked whose answer cannot matter, and decides nothing.
func (w *walk) startRest(rest []*List) {
	on := walk{policy: w.policy, client: w.client, named: w.named}
	on.decideByLists(noWait, rest)
}

// verifyName finds out the client's name, once, for the first list that wants it.
func (w *walk) verifyName(ctx context.Context, l *List) {
	if w.policy.Names == nil || w.named || w.client.Name != "" || !w.client.Addr.IsValid() {
		return
	}
	if u, ok := l.Source.(NameUser); ok && u.UsesNames() {
		w.named = true
		name, status := w.policy.Names.Verify(ctx, w.client.Addr)
		switch status {
		case Matched:
			w.client.Name = name
		case Pending, Unavailable:
			w.client.NameStatus = status
		}
	}
}

func (w *walk) isGuarded() bool { return w.policy.Guard != nil && w.policy.Guard.Active() }

// decideByDefault decides if no list does.
func (w *walk) decideByDefault(review bool) Verdict {
	p, addr := w.policy, w.client.Addr
	v := Verdict{Action: p.Default, Reason: ReasonDefault}
	switch {
	case p.Limit == nil && p.Default == Offer:
		return v
	case !addr.IsValid():
		return Verdict{Action: Offer, Reason: ReasonNoAddress}
	case w.isGuarded():
		if p.Limit != nil {
			if v = w.limit(review); v.Action == Offer {
				return v
			}
		}
		v.Overridden = true
		w.observed = append(w.observed, v)
		return Verdict{Action: Offer, Reason: ReasonGuard}
	case p.Limit == nil:
		return v
	}
	return w.limit(review)
}

func (w *walk) limit(review bool) Verdict {
	ask := w.policy.Limit.Decide
	if review {
		ask = w.policy.Limit.LastDecision
	}
	return Verdict{Action: ask(w.client.Addr), Reason: ReasonLimit}
}
