package ratelimit

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/lists"
)

// A decision is kept for Keep from when it was made, however often the client comes, and no longer, however long the
// client was away. Seconds in 22 bits would wrap after 48.5 days.
func TestKeepFromDecision(t *testing.T) {
	for _, away := range []time.Duration{0, 49 * 24 * time.Hour, 100 * 24 * time.Hour, 1<<22*time.Second - time.Minute, 1 << 22 * time.Second, 200 * 365 * 24 * time.Hour} {
		for _, keep := range []time.Duration{time.Second, 1500 * time.Millisecond, 5 * time.Minute, 24 * time.Hour} {
			for _, part := range []time.Duration{0, time.Millisecond, 900 * time.Millisecond} { // of the second of the decision
				s, c := newLimiter(0.002, keep)
				c.advance(part)
				actionOf(s, hostAddr(1)) // takes the offer
				if actionOf(s, hostAddr(2)) != lists.Suppress {
					t.Fatal("offered")
				}
				// A load of other clients never leaves an offer.
				others := hostAddr(3)
				for left, step := keep, keep/100; left > 0; left -= step {
					c.advance(min(step, left))
					s.Charge(others)
					if actionOf(s, hostAddr(2)) != lists.Suppress {
						t.Fatalf("keep %v: offered %v before the end", keep, left-step)
					}
				}
				c.advance(max(away, time.Second) + 1000*time.Second) // and the debt is paid
				if actionOf(s, hostAddr(2)) != lists.Offer {
					t.Errorf("keep %v, decided %v into a second: suppressed %v after the end", keep, part, away)
				}
			}
		}
	}
}

func TestOffersEndAfterAnHour(t *testing.T) {
	for _, away := range []time.Duration{time.Hour + time.Second, 49 * 24 * time.Hour, 1 << 22 * time.Second} {
		c := &settable{now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
		o := NewFailOpenLog(c.currentTime)
		o.Record(hostAddr(1), true)
		c.advance(away)
		if o.Recorded(hostAddr(1)) {
			t.Errorf("remembered after %v", away)
		}
	}
}

// oracle decides as a Limiter does, in the most obvious way: it looks at all that happened so far.
type oracle struct {
	rate  float64
	keep  time.Duration
	now   time.Duration // the latest that the clock ever showed
	last  map[int]decided
	offer []time.Duration // when each was made
	force []bool          // whether it was one that could not be refused
}

type decided struct {
	action lists.Action
	at     time.Duration
}

// nextDue plays all offers again, one by one.
func (o *oracle) nextDue() (due time.Duration) {
	for i, at := range o.offer {
		next := max(due, at) + o.interval()
		if o.force[i] {
			next = max(due, min(next, at+o.burst()+o.repeatBurst()))
		}
		due = next
	}
	return due
}

func (o *oracle) interval() time.Duration    { return time.Duration(float64(time.Second) / o.rate) }
func (o *oracle) burst() time.Duration       { return max(time.Second/4, o.interval()) }
func (o *oracle) repeatBurst() time.Duration { return max(time.Second, o.interval()) }

func (o *oracle) known(n int, keep time.Duration) (decided, bool) {
	was, ok := o.last[n]
	whole := func(d time.Duration) int64 { return int64(d / time.Second) }
	return was, ok && whole(o.now)-whole(was.at) <= whole(keep)
}

func (o *oracle) decide(n int) lists.Action {
	was, known := o.known(n, o.keep)
	if known && was.action == lists.Suppress {
		return lists.Suppress
	}
	tolerance := o.burst()
	if known {
		tolerance += o.repeatBurst()
	}
	is := lists.Suppress
	if max(o.nextDue(), o.now)+o.interval() <= o.now+tolerance {
		is = lists.Offer
		o.offer, o.force = append(o.offer, o.now), append(o.force, false)
	}
	if !known || is != was.action {
		o.last[n] = decided{is, o.now}
	}
	return is
}

func (o *oracle) lastDecision(n int) lists.Action {
	if was, known := o.known(n, o.keep+time.Hour); known {
		return was.action
	}
	if max(o.nextDue(), o.now)+o.interval() > o.now+o.burst() {
		return lists.Suppress
	}
	return lists.Offer
}

// Whatever clients come, and whatever the clock does, a Limiter decides as the oracle.
func TestOracle(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		rate := []float64{0.01, 0.7, 3, 20, 200}[r.IntN(5)]
		keep := []time.Duration{time.Second, 10 * time.Second, 5 * time.Minute, 24 * time.Hour}[r.IntN(4)]
		s, c := newLimiter(rate, keep)
		o := oracle{rate: rate, keep: keep, last: map[int]decided{}}
		clients := 1 + r.IntN(50)
		var shows time.Duration
		for i := range 1000 {
			step := time.Duration(r.ExpFloat64() / rate * float64(time.Second))
			switch r.IntN(40) {
			case 0:
				step = -step * 10
			case 1:
				step = time.Duration(r.Int64N(int64(2 * keep)))
			case 2:
				step = -time.Duration(r.Int64N(int64(keep)))
			case 3:
				step = time.Duration(r.IntN(100)) * 24 * time.Hour
			}
			if r.IntN(3) == 0 {
				step = 0
			}
			c.advance(step)
			shows += step
			o.now = max(o.now, shows)
			n := r.IntN(clients)
			switch r.IntN(8) {
			case 0:
				s.Charge(hostAddr(n))
				o.offer, o.force = append(o.offer, o.now), append(o.force, true)
			case 1:
				if got, want := lastActionOf(s, hostAddr(n)), o.lastDecision(n); got != want {
					t.Fatalf("seed %d, step %d: last decision: got %v, want %v", seed, i, got, want)
				}
			default:
				if got, want := actionOf(s, hostAddr(n)), o.decide(n); got != want {
					t.Fatalf("seed %d, step %d: got %v, want %v", seed, i, got, want)
				}
			}
		}
	}
}

// A goroutine may be suspended for seconds between reading the clock and making an offer, and the clock may be set back
// and forth. In no window of time are there more offers than the rate allows in it, those that may be made at once, and
// the one that was suspended.
func TestStaleReadings(t *testing.T) {
	const rate, sessions, workers = 200.0, 40000, 8
	var shows, high atomic.Int64 // ns: what the clock shows, and the most that it did
	start := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	var seed atomic.Uint64
	s := New(Rate{OffersPerSecond: rate, Keep: time.Minute}, func() time.Time {
		r := rand.New(rand.NewPCG(seed.Add(1), 1))
		now := shows.Load()
		if r.IntN(4) == 0 {
			now -= r.Int64N(int64(5 * time.Second))
		}
		return start.Add(time.Duration(now))
	})
	type span struct{ before, after int64 } // an offer was made between these readings of high
	offers := make([][]span, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(2, uint64(w)))
			for i := range sessions / workers {
				now := shows.Add(int64(r.ExpFloat64() * float64(time.Second) / (10 * rate)))
				for h := high.Load(); h < now && !high.CompareAndSwap(h, now); h = high.Load() {
				}
				if r.IntN(1000) == 0 {
					shows.Add(-r.Int64N(int64(2 * time.Second)))
				}
				before := high.Load()
				if actionOf(s, hostAddr(w<<16|i)) == lists.Offer {
					offers[w] = append(offers[w], span{before, high.Load()})
				}
			}
		})
	}
	wg.Wait()
	all := slices.Concat(offers...)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.before, b.before) })
	for i, first := range all {
		ends := make([]int64, 0, len(all)-i)
		for _, o := range all[i:] {
			ends = append(ends, o.after)
		}
		slices.Sort(ends)
		for n, end := range ends {
			if most := int(rate*(float64(end-first.before)/1e9+time.Duration(burst).Seconds())) + 1; n+1 > most {
				t.Fatalf("%d offers in %v, at most %d", n+1, time.Duration(end-first.before), most)
			}
		}
	}
	if elapsed := float64(high.Load()) / 1e9; len(all) == 0 || float64(len(all)) > rate*(elapsed+time.Duration(burst).Seconds()) {
		t.Errorf("%d offers in %.1f s", len(all), elapsed)
	}
}

// Two sessions of one client that begin at once get the same decision.
func TestSameDecisionAtOnce(t *testing.T) {
	for range 200 {
		s, _ := newLimiter(1, time.Minute) // one offer, and one more to a client that had it
		var got [2]lists.Action
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = actionOf(s, hostAddr(1)) })
		}
		wg.Wait()
		if last := lastActionOf(s, hostAddr(1)); got[0] != last || got[1] != last {
			t.Fatalf("got %v and %v, and last decision %v", got[0], got[1], last)
		}
	}
}
