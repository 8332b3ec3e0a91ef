package dnscache

// Turn is how often a caller put a question.
type Turn uint8

const (
	// First means that the question is new.
	First Turn = iota
	// Again means that its answer was pending. It is not counted again.
	Again
	// Last is Again for a caller that waits no longer: an expired answer counts if there is no fresh one.
	Last
)

// TurnAgain returns the turn of a question that was pending.
func TurnAgain(late bool) Turn {
	if late {
		return Last
	}
	return Again
}

// Answer is what is known of a question.
type Answer struct {
	State   State
	expired bool   // State is Pending, and Text counts if the query fails
	Text    string // if State is Known
	ready   <-chan struct{}
}

// State is whether a question has an answer.
type State uint8

const (
	// Unknown means that there is no answer.
	Unknown State = iota
	// Pending means that there may be one later.
	Pending
	// Known means that there is one.
	Known
)

// Ready returns a channel that is closed when more is known, if State is Pending. It can be nil: then the answer depends on
// another question.
func (a *Answer) Ready() <-chan struct{} { return a.ready }

// fallBack uses the expired answer, if there is one, for a question that gets no other.
func (u *Upstream) fallBack(a *Answer) {
	a.State, a.ready = Unknown, nil
	if a.expired {
		a.State, a.expired = Known, false
		u.stale.Add(1)
	}
}

// Lookup answers k from the cache, and sends a query if there is no fresh answer. now is the time.
func (u *Upstream) Lookup(k *Key, now int64, t Turn) Answer {
	sh := u.cache.store.shard(k)
	sh.mu.Lock()
	e, ok := sh.entries.Get(*k)
	if !ok || !e.answered || now >= e.expiresAt {
		return u.lookupMissing(k, now, sh, &e, t)
	}
	// In the last tenth of its life an answer that is used is renewed.
	if now > e.expiresAt-(e.expiresAt-e.arrivedAt)/10 && sh.inFlight[*k] == nil && u.canQuery(k, now, &e) {
		if u.startCall(k, now, sh, true) != nil {
			u.prefetched.Add(1)
		}
	}
	sh.mu.Unlock()
	if t == First {
		u.hits.Add(1)
	}
	return Answer{State: Known, Text: e.text}
}

// canQuery reports whether the breaker lets k pass, and no query for it failed just now.
func (u *Upstream) canQuery(k *Key, now int64, e *entry) bool {
	return !u.failedLately(now, e) && u.enabled(k)
}

func (u *Upstream) failedLately(now int64, e *entry) bool {
	return e.failure != 0 && now-e.failedAt < int64(u.options.FailureTTL) && e.failedAt >= u.Breaker.Since()
}

// lookupMissing is the rest of Lookup if there is no fresh answer. It is called with the lock of sh held.
func (u *Upstream) lookupMissing(k *Key, now int64, sh *shard, e *entry, t Turn) Answer {
	defer sh.mu.Unlock()
	if u.options.Valid != nil && !u.options.Valid(*k) {
		return Answer{State: Known}
	}
	a := Answer{State: Pending}
	if a.expired = e.answered && now-e.expiresAt < int64(u.cache.options.Stale); a.expired {
		a.Text = e.text
	}
	if inFlight := sh.inFlight[*k]; inFlight != nil && (u.enabled(k) || !a.expired) {
		a.ready = inFlight.done
	} else {
		if t == First {
			u.misses.Add(1)
		}
		a.ready = u.readyOfNew(k, now, sh, e, a.expired)
	}
	if a.ready == nil || t == Last && a.expired {
		u.fallBack(&a)
	}
	return a
}

// readyOfNew starts a query, or has the caller wait for the first health check. It returns nil if neither can be.
func (u *Upstream) readyOfNew(k *Key, now int64, sh *shard, e *entry, expired bool) <-chan struct{} {
	if u.canQuery(k, now, e) {
		if c := u.startCall(k, now, sh, false); c != nil {
			return c.done
		}
		return nil
	}
	if expired {
		return nil
	}
	return u.Breaker.FirstCheck()
}
