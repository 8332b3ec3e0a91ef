package lists

import (
	"context"
	"reflect"
)

// walk is the way of one client through the lists, and what came of it.
type walk struct {
	policy *Policy
	client Client
	review bool // the session was decided before
	turn   Turn

	verdict  Verdict // if decided
	decided  bool
	ended    bool // no further list can change the action
	observed []Verdict
	hidden   *Hidden
	unsure   bool              // an enforcing list was unavailable
	pending  bool              // a wait could change the decision
	ready    []<-chan struct{} // what to wait for then

	nameLookedUp bool // the NameVerifier was queried
	nameReady    []<-chan struct{}
}

// waitAndRevisit visits the lists again until no pending one could change the decision about c, or the time is up.
func (w *walk) waitAndRevisit(ctx context.Context, c Client) {
	ctx, cancel := context.WithTimeout(ctx, w.policy.Wait)
	defer cancel()
	for w.pending && w.turn != Last {
		turn := Last
		if waitForAny(ctx, w.ready) {
			turn = Again
		}
		*w = walk{policy: w.policy, client: c, review: w.review, turn: turn}
		w.visitLists()
	}
}

// waitForAny waits until one of ready is closed. It returns false if ctx ends before that, or there is nothing to wait for.
func waitForAny(ctx context.Context, ready []<-chan struct{}) bool {
	if len(ready) == 0 {
		return false
	}
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	for _, r := range ready {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(r)})
	}
	i, _, _ := reflect.Select(cases)
	return i > 0
}

// visitLists looks up the lists in order, until one decides. Behind a pending list that ends the walk it goes on, as if that
// list did not match: only to start the lookups of the lists behind it, all at the same time. It goes on no further than
// a walk could that has the answer. Where the walk ends, the lists that hide keywords are still visited.
func (w *walk) visitLists() {
	w.ended = w.client.Service == Submission
	for _, l := range w.policy.Lists {
		if w.ended && l.Hide == 0 || !l.Services.Has(w.client.Service) {
			continue
		}
		if w.policy.Names != nil && w.usesName(l) {
			w.verifyName(l)
		}
		m := w.lookupClient(l)
		switch m.Status {
		case NoMatch, Exception:
			continue
		case Matched:
			w.noteMatch(l, m)
		default:
			w.noteUnknown(l, m)
		}
	}
}

// noteMatch takes into account a list that matches.
func (w *walk) noteMatch(l *List, m Match) {
	v := Verdict{Action: l.Action, Reason: ReasonListed, List: l, entryID: m.ID, entryBy: m.By, addr: w.client.Addr}
	if l.Hide != 0 {
		w.hidden = w.hidden.add(v)
	}
	if w.ended || l.Action == NoAction {
		return
	}
	if l.Mode == Enforce {
		if v.Overridden = l.External && l.Action == Suppress && w.isGuarded(); !v.Overridden {
			w.decideBy(v)
			w.ended = true
			return
		}
	}
	if !w.decided {
		w.observed = append(w.observed, v)
	}
}

// noteUnknown takes into account a list that is pending or unavailable.
func (w *walk) noteUnknown(l *List, m Match) {
	acts := !w.decided && !w.ended && l.Action != NoAction
	w.ended = w.ended || m.Status == Unavailable && l.failsOpen()
	if !acts && (l.Hide == 0 || l.Mode == Observe) {
		return
	}
	if m.Status == Pending && !w.pending {
		w.pending = true
		w.ready = append(m.Ready[:len(m.Ready):len(m.Ready)], w.nameReady...)
	}
	if !acts {
		return
	}
	w.unsure = w.unsure || l.Mode == Enforce
	if l.failsOpen() {
		w.decideBy(Verdict{Action: Offer, Reason: ReasonUnavailable, List: l})
	}
}

// failsOpen reports whether the walk ends with Offer if the list is unavailable.
func (l *List) failsOpen() bool {
	return l.Action != Suppress && l.Action != NoAction && l.Mode == Enforce
}

func (w *walk) decideBy(v Verdict) {
	if !w.decided {
		w.verdict, w.decided = v, true
	}
}

// lookupClient looks up the client in the source of a list.
func (w *walk) lookupClient(l *List) Match {
	if l.Sessions != nil && w.turn == First && !w.review {
		return l.Sessions.LookupSession(w.client)
	}
	if w.turn != First {
		if s, ok := l.Source.(PendingSource); ok {
			return s.LookupTurn(w.client, w.usefulTurn(l))
		}
	}
	return l.Source.Lookup(w.client)
}

// usefulTurn returns the turn. Once the walk is decided, an answer that is too old is of no use, but for hiding keywords.
func (w *walk) usefulTurn(l *List) Turn {
	if w.decided && l.Hide == 0 {
		return min(w.turn, Again)
	}
	return w.turn
}

// usesName reports whether a list needs the client's name, and it was not looked up yet.
func (w *walk) usesName(l *List) bool {
	if w.nameLookedUp || w.client.Name != "" || !w.client.Addr.IsValid() {
		return false
	}
	u, ok := l.Source.(NameUser)
	return ok && u.UsesNames()
}

// verifyName looks up the client's name, which l needs.
func (w *walk) verifyName(l *List) {
	w.nameLookedUp = true
	switch m := w.policy.Names.Verify(w.client.Addr, w.usefulTurn(l)); m.Status {
	case Matched:
		w.client.Name = m.Name
	case Pending, Unavailable:
		w.client.NameStatus, w.nameReady = m.Status, m.Ready
	}
}

func (w *walk) isGuarded() bool { return w.policy.Guard != nil && w.policy.Guard.Active() }
