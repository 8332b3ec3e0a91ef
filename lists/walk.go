package lists

import (
	"context"
	"reflect"
)

// walk is the way of one client through the lists, and what came of it.
type walk struct {
	policy *Policy
	client Client
	turn   Turn

	verdict  Verdict // if decided
	decided  bool
	observed []Verdict
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
		*w = walk{policy: w.policy, client: c, turn: turn}
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
// a walk could that has the answer.
func (w *walk) visitLists() {
	for _, l := range w.policy.Lists {
		if w.policy.Names != nil && w.usesName(l) {
			w.verifyName()
		}
		m := w.lookupClient(l)
		switch m.Status {
		case NoMatch, Exception:
			continue
		case Matched:
			if w.noteMatch(l, m) {
				return
			}
		default:
			w.noteUnknown(l, m)
			if m.Status == Unavailable && l.failsOpen() {
				return
			}
		}
	}
}

// noteMatch takes into account a list that matches, and reports whether it ends the walk.
func (w *walk) noteMatch(l *List, m Match) bool {
	v := Verdict{Action: l.Action, Reason: ReasonListed, List: l, entryID: m.ID, entryBy: m.By, addr: w.client.Addr}
	if l.Mode == Enforce {
		if v.Overridden = l.External && l.Action == Suppress && w.isGuarded(); !v.Overridden {
			w.decideBy(v)
			return true
		}
	}
	if !w.decided {
		w.observed = append(w.observed, v)
	}
	return false
}

// noteUnknown takes into account a list that is pending or unavailable.
func (w *walk) noteUnknown(l *List, m Match) {
	if w.decided {
		return
	}
	if m.Status == Pending && !w.pending {
		w.pending = true
		w.ready = append(m.Ready[:len(m.Ready):len(m.Ready)], w.nameReady...)
	}
	w.unsure = w.unsure || l.Mode == Enforce
	if l.failsOpen() {
		w.decideBy(Verdict{Action: Offer, Reason: ReasonUnavailable, List: l})
	}
}

// failsOpen reports whether the walk ends with Offer if the list is unavailable.
func (l *List) failsOpen() bool { return l.Action != Suppress && l.Mode == Enforce }

func (w *walk) decideBy(v Verdict) {
	if !w.decided {
		w.verdict, w.decided = v, true
	}
}

// lookupClient looks up the client in the source of a list.
func (w *walk) lookupClient(l *List) Match {
	if w.turn != First {
		if s, ok := l.Source.(PendingSource); ok {
			return s.LookupTurn(w.client, w.usefulTurn())
		}
	}
	return l.Source.Lookup(w.client)
}

// usefulTurn returns the turn. Once the walk is decided, an answer that is too old is of no use.
func (w *walk) usefulTurn() Turn {
	if w.decided {
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

// verifyName looks up the client's name.
func (w *walk) verifyName() {
	w.nameLookedUp = true
	switch m := w.policy.Names.Verify(w.client.Addr, w.usefulTurn()); m.Status {
	case Matched:
		w.client.Name = m.Name
	case Pending, Unavailable:
		w.client.NameStatus, w.nameReady = m.Status, m.Ready
	}
}

func (w *walk) isGuarded() bool { return w.policy.Guard != nil && w.policy.Guard.Active() }
