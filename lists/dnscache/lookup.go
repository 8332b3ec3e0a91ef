package dnscache

import "ehlogate/lists"

// Answer is what is known of a question.
type Answer struct {
	State State
	Text  string // if State is Known
	// Ready is closed when more is known, if State is Pending. It can be nil: then the answer depends on another question.
	Ready <-chan struct{}
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

// Lookup answers k from the cache, and sends a query if there is no fresh answer. now is the time.
func (u *Upstream) Lookup(k Key, now int64, t lists.Turn) Answer {
	k.upstream = u.id
	sh, hash := u.cache.store.find(&k)
	sh.mu.Lock()
	e := sh.answers.get(&k, hash)
	if e == nil {
		e = &entry{}
	}
	if !e.answered || now >= e.expiresAt {
		return u.lookupMissing(k, now, sh, e, t)
	}
	// In the last tenth of its life an answer that is used is renewed.
	if now > e.expiresAt-(e.expiresAt-e.arrivedAt)/10 && sh.inFlight[k] == nil && u.canQuery(now, e) {
		if u.startCall(k, now, sh, true) != nil {
			u.prefetched.Add(1)
		}
	}
	text := e.text
	sh.mu.Unlock()
	if t == lists.First {
		u.hits.Add(1)
	}
	return Answer{State: Known, Text: text}
}

// canQuery reports whether the breaker lets a query pass, and none for the same failed just now.
func (u *Upstream) canQuery(now int64, e *entry) bool {
	return !u.failedLately(now, e) && u.isEnabled()
}

func (u *Upstream) failedLately(now int64, e *entry) bool {
	return e.failed && now-e.failedAt < int64(u.options.FailureTTL) && e.failedAt >= u.Breaker.Since()
}

// lookupMissing is the rest of Lookup if there is no fresh answer. It is called with the lock of sh held.
func (u *Upstream) lookupMissing(k Key, now int64, sh *shard, e *entry, t lists.Turn) Answer {
	defer sh.mu.Unlock()
	if u.options.Valid != nil && !u.options.Valid(k) {
		return Answer{State: Known}
	}
	var ready <-chan struct{}
	expired := e.answered && now-e.expiresAt < int64(u.cache.options.Stale) // and counts if there is no better answer
	if inFlight := sh.inFlight[k]; inFlight != nil && (u.isEnabled() || !expired) {
		ready = inFlight
	} else {
		sent := false
		if u.canQuery(now, e) {
			ready = u.startCall(k, now, sh, false)
			sent = ready != nil
		} else if !expired {
			ready = u.Breaker.FirstCheck()
		}
		if t == lists.First || sent { // a name is looked up after the first turn
			u.misses.Add(1)
		}
	}
	switch {
	case expired && (ready == nil || t == lists.Last):
		u.stale.Add(1)
		return Answer{State: Known, Text: e.text}
	case ready == nil:
		return Answer{}
	}
	return Answer{State: Pending, Ready: ready}
}
