package mtatest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Result is what one short session saw.
type Result struct {
	Connect time.Duration // from the start until connected
	Banner  time.Duration // from the start until the banner was complete; 0 if it was not
	EHLO    time.Duration // from the start until the reply to EHLO was complete; 0 if none came
	Reply   Reply         // to EHLO, or the banner if that was not a welcome
}

// Session connects to addr from source, reads the banner, sends EHLO and takes leave. It fails if there was no proper
// reply to EHLO: no connection, no reply in time, or a code other than 250; the Result then holds what was seen until then.
// The whole session ends with the context.
func Session(ctx context.Context, addr, source, helo string) (Result, error) {
	start := time.Now()
	var r Result
	c, err := Dial(ctx, addr, source)
	if err != nil {
		return r, err
	}
	defer c.Close()
	r.Connect = time.Since(start)
	if r.Reply, err = c.Banner(); err != nil {
		return r, err
	}
	r.Banner = time.Since(start)
	if r.Reply.Code != 220 {
		return r, fmt.Errorf("banner from %s: %v", addr, r.Reply)
	}
	if r.Reply, err = c.EHLO(helo); err != nil {
		return r, err
	}
	r.EHLO = time.Since(start)
	if r.Reply.Code != 250 {
		return r, fmt.Errorf("reply of %s to EHLO: %v", addr, r.Reply)
	}
	_, _ = c.Quit() // what we came for we have
	return r, nil
}

// Verdict is what a load generator thinks of one session.
type Verdict int

// The verdicts.
const (
	Unanswered Verdict = iota // no proper reply to EHLO
	Right                     // the answer of the lists
	Backup                    // the answer of the map's backup
	Wrong                     // an answer that is neither
)

// Tally counts sessions by verdict. Latencies are those of the sessions that were answered.
type Tally struct {
	Sessions, Right, Backup, Wrong, Unanswered int
	P50, P99, Max                              time.Duration
	Errors                                     []string // why sessions failed or were wrong, each reason once, at most ten
}

// Load plays sessions, at most concurrency of them at a time, and counts. It starts n of them, or with n = 0 as many as fit
// before ctx ends. A session that runs when ctx ends is finished, so fn must bound itself; it is told the session's number
// and returns its verdict, its latency, and why it judged so if there is something to say.
func Load(ctx context.Context, n, concurrency int, fn func(ctx context.Context, i int) (Verdict, time.Duration, error)) Tally {
	var (
		mu        sync.Mutex
		next      int
		latencies []time.Duration
		tally     Tally
		wg        sync.WaitGroup
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || n > 0 && next == n {
			return 0, false
		}
		next++
		return next - 1, true
	}
	running := context.WithoutCancel(ctx)
	for range concurrency {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				verdict, latency, err := fn(running, i)
				mu.Lock()
				tally.addSession(verdict, err)
				if verdict != Unanswered {
					latencies = append(latencies, latency)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(latencies)
	tally.P50, tally.P99, tally.Max = quantile(latencies, 0.50), quantile(latencies, 0.99), quantile(latencies, 1)
	return tally
}

// addSession counts one session.
func (t *Tally) addSession(verdict Verdict, err error) {
	t.Sessions++
	switch verdict {
	case Right:
		t.Right++
	case Backup:
		t.Backup++
	case Wrong:
		t.Wrong++
	case Unanswered:
		t.Unanswered++
	}
	if err != nil && len(t.Errors) < 10 && !slices.Contains(t.Errors, err.Error()) {
		t.Errors = append(t.Errors, err.Error())
	}
}

// quantile returns the smallest value that at least the share q of the sorted values does not exceed, or 0 for none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(0, i)]
}
