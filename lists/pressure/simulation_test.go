package pressure

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/ratelimit"
)

// machine is a model of a mail server: processors that its sessions share with other programs, and a number of processes
// that each serve one client at a time. Clients come at random, know or do not know STARTTLS is offered until EHLO, and
// take a round trip to begin with TLS.
type machine struct {
	cores     int
	processes int           // clients that are served at once
	plain     time.Duration // CPU time of a session
	handshake time.Duration // CPU time of TLS in addition
	roundTrip time.Duration // of half of the clients; others take up to five times as long

	unknown, known func(at time.Duration) float64 // clients a second
	others         func(at time.Duration) float64 // other tasks that are ready to run
	noise          float64                        // other tasks a second, each of 20 ms

	// measure turns the pressure of one period into what the controller sees; nil: it sees that.
	measure func(at time.Duration, pressure float64) float64
}

// task is a session, or another program.
type task struct {
	known   bool
	decided bool
	tls     bool
	ready   time.Duration // when it is ready to run again
	left    time.Duration // CPU time
	since   time.Duration // when the client came
}

// second is what happened in a second.
type second struct {
	limit, average   float64 // at its end
	pressure         float64 // of the machine
	offered, refused int     // unknown clients
	knownServed      int
	latency          time.Duration // of known clients, the longest
}

const (
	tick  = 2 * time.Millisecond
	round = int(time.Second / tick)
)

// run plays the model for a time. It is deterministic.
func (m *machine) run(length time.Duration, c *Controller) []second {
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	now := time.Duration(0)
	limiter := ratelimit.New(ratelimit.Rate{Keep: 5 * time.Minute}, func() time.Time { return begin.Add(now) })
	arrive := func(rate float64) (n int) { // Poisson, by steps
		for p := rate * tick.Seconds(); p > 0; p-- {
			if random.Float64() < min(p, 1) {
				n++
			}
		}
		return n
	}
	var waiting, served, other []task
	var out []second
	var this second
	var stalled, secondStalled time.Duration // with a task that waits, since the last sample
	var before ratelimit.Stats
	clients := 0
	for ; now < length; now += tick {
		for kind, rate := range []func(time.Duration) float64{m.unknown, m.known} {
			for range arrive(rate(now)) {
				if len(waiting) < 2*m.processes { // others are turned away
					waiting = append(waiting, task{known: kind == 1, since: now})
				}
			}
		}
		for range arrive(m.noise) {
			other = append(other, task{left: 20 * time.Millisecond})
		}
		for len(waiting) > 0 && len(served) < m.processes {
			t := waiting[0]
			waiting = waiting[1:]
			t.left, t.ready = m.plain, now
			served = append(served, t)
		}
		// The processors are shared by all that are ready. A task waits for as long as they have more work than they can do.
		ready, work := m.others(now), m.others(now)*float64(tick)
		for _, t := range other {
			ready, work = ready+1, work+float64(min(t.left, tick))
		}
		for _, t := range served {
			if t.ready <= now {
				ready, work = ready+1, work+float64(min(t.left, tick))
			}
		}
		load := work / float64(tick) / float64(m.cores)
		ran := time.Duration(float64(tick) / max(load, 1))
		stall := time.Duration(float64(tick) * min(load, 1) * min(1, max(0, ready-float64(m.cores))/float64(m.cores)))
		if load < 1 {
			stall /= 2 // the second half of the work finds a free processor
		}
		stalled, secondStalled = stalled+stall, secondStalled+stall
		kept := other[:0]
		for _, t := range other {
			if t.left -= ran; t.left > 0 {
				kept = append(kept, t)
			}
		}
		other = kept
		still := served[:0]
		for _, t := range served {
			if t.ready <= now {
				t.left -= ran
			}
			if t.left > 0 {
				still = append(still, t)
				continue
			}
			if !t.decided {
				t.decided, t.tls = true, true
				if !t.known {
					clients++
					action, _ := limiter.Decide(netip.AddrFrom4([4]byte{100, byte(clients >> 16), byte(clients >> 8), byte(clients)}))
					if t.tls = action == lists.Offer; t.tls {
						this.offered++
					} else {
						this.refused++
					}
				}
				if t.left = 1; t.tls {
					t.left = m.handshake
				}
				t.ready = now + m.roundTrip
				if random.IntN(2) == 0 {
					t.ready += time.Duration(random.Int64N(int64(4 * m.roundTrip)))
				}
				still = append(still, t)
				continue
			}
			if t.known {
				this.knownServed++
				this.latency = max(this.latency, now-t.since)
				if !t.tls {
					panic("a known client was not offered STARTTLS")
				}
			}
		}
		served = still
		if (now+tick)%Period == 0 {
			p, stats := float64(stalled)/float64(Period), limiter.Stats()
			if m.measure != nil {
				p = m.measure(now, p)
			}
			limiter.SetPressureRate(c.Add(Sample{Period, p, stats.Offered - before.Offered}))
			stalled, before = 0, stats
		}
		if int(now/tick)%round == round-1 {
			this.limit, this.average, this.pressure = c.Limit(), c.Average(), float64(secondStalled)/float64(time.Second)
			out, this, secondStalled = append(out, this), second{}, 0
		}
	}
	return out
}

func constantly(v float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return v }
}

// between has a value from one time to another, and else another value.
func between(from, to time.Duration, v, otherwise float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		if at >= from && at < to {
			return v
		}
		return otherwise
	}
}

// meanOf returns the mean of seconds, and the standard deviation.
func meanOf(seconds []second, of func(second) float64) (mean, deviation float64) {
	for _, s := range seconds {
		mean += of(s) / float64(len(seconds))
	}
	for _, s := range seconds {
		deviation += (of(s) - mean) * (of(s) - mean) / float64(len(seconds))
	}
	return mean, math.Sqrt(deviation)
}
