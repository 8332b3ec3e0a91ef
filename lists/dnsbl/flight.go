package dnsbl

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"ehlogate/lists/dnsclient"
)

// knowledge is how a question stands.
type knowledge uint8

const (
	unknown knowledge = iota
	pending           // flight will tell
	known
)

// part is what is known of one question for one lookup.
type part struct {
	state  knowledge
	old    bool   // pending, and said is what counts if nothing better comes in time
	said   string // as in entry
	flight *call  // may be nil though it is pending: another will tell
}

// call is a query in flight, or a first test. What came of it is in the cache when done is closed.
type call struct{ done chan struct{} }

// turn is how often a question was put.
type turn uint8

const (
	first turn = iota // it is new
	again             // it was pending, and is not counted again
	last              // the same, and the time is up: an answer that is too old counts if there is no fresh one
)

// look answers k from the cache, and starts a query if the cache has no fresh answer.
func (o *upstream) look(k *key, now int64, t turn) part {
	s := o.service
	sh := s.memory.shard(k)
	sh.mu.Lock()
	e, ok := sh.entries.Get(*k)
	if !ok || !e.known || now >= e.ends {
		return o.miss(k, now, sh, &e, t)
	}
	// In the last tenth of its life an answer that is asked for is renewed.
	if now > e.ends-(e.ends-e.came)/10 && sh.flights[*k] == nil && o.mayAsk(k, now, &e) {
		if o.begin(k, now, sh, true) != nil {
			o.prefetched.Add(1)
		}
	}
	sh.mu.Unlock()
	if t == first {
		o.hits.Add(1)
	}
	return part{state: known, said: e.said}
}

// mayAsk says whether it is worth asking, as far as o and a failure before tell.
func (o *upstream) mayAsk(k *key, now int64, e *entry) bool {
	failed := e.why != 0 && now-e.failed < int64(o.patience) && e.failed >= o.since.Load()
	return !failed && o.believed(k)
}

// miss is the rest of look, where memory holds no answer that still counts. It
// is called with the lock of sh held.
func (o *upstream) miss(k *key, now int64, sh *shard, e *entry, t turn) part {
	defer sh.mu.Unlock()
	if !o.fits(*k) {
		return part{state: known}
	}
	p := part{state: pending}
	if p.old = e.known && now-e.ends < int64(o.service.config.Stale); p.old {
		p.said = e.said
	}
	if p.flight = sh.flights[*k]; p.flight != nil && (o.believed(k) || !p.old) {
		if t == last && p.old {
			o.give(&p)
		}
		return p // what others began to ask
	}
	if t == first {
		o.misses.Add(1)
	}
	if p.flight = nil; o.mayAsk(k, now, e) {
		p.flight = o.begin(k, now, sh, false)
	} else if first := o.testing.Load(); first != nil && !p.old {
		p.flight = first
	}
	if p.flight == nil || t == last && p.old {
		o.give(&p)
	}
	return p
}

// give makes the best of a question that nobody answers: the old answer, if
// there is one, or it is not known.
func (o *upstream) give(p *part) {
	p.state, p.flight = unknown, nil
	if p.old {
		p.state, p.old = known, false
		o.stale.Add(1)
	}
}

// begin asks about k beside, if the service runs and there is room; nil if not.
// It is called with the lock of sh held, and makes sure that a question is in
// flight once only.
func (o *upstream) begin(k *key, now int64, sh *shard, spare bool) *call {
	s := o.service
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ctx == nil || s.ctx.Err() != nil || !o.room(now, spare) {
		return nil
	}
	f, ctx, question, gen := &call{done: make(chan struct{})}, s.ctx, *k, o.gen.Load()
	question.name = strings.Clone(k.name) // which may be in somebody's buffer
	sh.flights[question] = f
	s.goroutine.Go(func() { o.fly(ctx, question, f, now, gen, sh) })
	return f
}

// room takes a place among the questions in flight. Those that can be spared
// get no more than half of them, and one origin no more than it leaves to the
// others.
func (o *upstream) room(now int64, spare bool) bool {
	s := o.service
	most := int64(s.config.MaxLookups)
	for {
		all, own := s.inFlight.Load(), int64(o.flying.Load())
		if all >= most || own >= most-all && own > 0 && s.origins.Load() > 1 || spare && 2*all >= most {
			break
		}
		if s.inFlight.CompareAndSwap(all, all+1) {
			o.flying.Add(1)
			return true
		}
	}
	if !spare {
		o.refused.Add(1)
		s.refused.Add(1)
		const often = int64(10 * time.Minute)
		if last := s.lamented.Load(); (last == 0 || now-last >= often) && s.lamented.CompareAndSwap(last, max(now, 1)) {
			s.log.Warnf("more than %d questions are in flight (max_lookups), or nearly all by %s: clients that are not in memory count as unknown", most, o.what)
		}
	}
	return false
}

// fly asks about k, and remembers what came of it.
func (o *upstream) fly(ctx context.Context, k key, f *call, began int64, gen uint64, sh *shard) {
	s := o.service
	said, ttl, err := o.ask(ctx, &k)
	now := s.now()
	if ctx.Err() == nil {
		o.note(began, said, err)
	}
	sh.mu.Lock()
	delete(sh.flights, k)
	if gen == o.gen.Load() && (err == nil || ctx.Err() == nil) {
		e, _ := sh.entries.Peek(k)
		if err == nil {
			ttl = min(max(ttl, s.config.MinTTL), s.config.MaxTTL)
			e = entry{said: said, known: true, came: now, ends: now + int64(ttl)}
		} else {
			e.failed, e.why = now, reasonOf(err)
		}
		sh.entries.Add(k, e)
	}
	sh.mu.Unlock()
	o.flying.Add(-1)
	s.inFlight.Add(-1)
	close(f.done)
}

// ask is find within flightTime.
func (o *upstream) ask(ctx context.Context, k *key) (said string, ttl time.Duration, err error) {
	defer o.survive(&err)
	ctx, cancel := context.WithTimeout(ctx, flightTime)
	defer cancel()
	return o.find(ctx, k)
}

// survive is deferred. It makes a fault in the program no more than a failed
// question.
func (o *upstream) survive(err *error) {
	if r := recover(); r != nil {
		o.log.Errorf("%s: a fault in asking: %v\n%s", o.what, r, debug.Stack())
		*err = &dnsclient.Error{Kind: dnsclient.Malformed, Err: fmt.Errorf("a fault of this program: %v", r)}
	}
}
