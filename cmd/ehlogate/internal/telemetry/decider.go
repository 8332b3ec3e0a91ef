package telemetry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// timedShare: the time of one decision in so many is taken. To look at the
// clock twice costs as much as to decide.
const timedShare = 16

// decider counts the decisions of another for one protocol, and logs them if
// it is told to. It allocates nothing but for a decision that is logged, and
// shares no lock with the other protocols.
type decider struct {
	w        *Recorder
	protocol string
	next     policyd.Decider
	logs     bool
	// counters are those in use, of which there are few: to look one up by its
	// labels costs more than a decision. The slice is copied for each new one.
	counters atomic.Pointer[[]counter]
}

type counter struct {
	action lists.Action
	list   string
	prometheus.Counter
}

// Instrumented is next, with its decisions counted.
func (w *Recorder) Instrumented(protocol string, next policyd.Decider) policyd.Decider {
	return &decider{w: w, protocol: protocol, next: next}
}

// LoggedDecider is next, with its decisions counted and logged: for the protocols
// that decide over EHLO.
func (w *Recorder) LoggedDecider(protocol string, next policyd.Decider) policyd.Decider {
	return &decider{w: w, protocol: protocol, next: next, logs: true}
}

// Decide implements policyd.Decider. A panic becomes a decision to offer.
func (d *decider) Decide(ctx context.Context, c lists.Client) (out lists.Decision) {
	defer func() {
		if p := recover(); p != nil {
			out = lists.Decision{Verdict: lists.Verdict{Action: lists.Offer, Reason: lists.ReasonFault}}
			d.w.Fault(d.protocol, FaultPanic, fmt.Appendf(nil, "%v\n%s", p, debug.Stack()))
			d.counter(&out.Verdict).Inc()
		}
	}()
	if rand.Uint32()%timedShare == 0 {
		start := time.Now()
		out = d.next.Decide(ctx, c)
		d.w.metrics.seconds.Observe(time.Since(start).Seconds())
	} else {
		out = d.next.Decide(ctx, c)
	}
	d.counter(&out.Verdict).Inc()
	for _, v := range out.Observed {
		if v.Overridden {
			d.w.heldBack.Add(1)
			d.w.metrics.heldBack.WithLabelValues(d.protocol, v.ListName()).Inc()
			continue
		}
		d.w.metrics.observed.WithLabelValues(d.protocol, v.Action.String(), v.ListName()).Inc()
	}
	if d.logs && (out.Action == lists.Suppress || len(out.Observed) > 0) && d.w.mayLog() {
		d.w.logDecision(d.protocol, c, out)
	}
	return out
}

func (d *decider) counter(v *lists.Verdict) prometheus.Counter {
	list := v.ListName()
	known := d.counters.Load()
	if known != nil {
		for i := range *known {
			if k := &(*known)[i]; k.action == v.Action && k.list == list {
				return k.Counter
			}
		}
	}
	c := d.w.metrics.decisions.WithLabelValues(d.protocol, v.Action.String(), list)
	next := []counter{{v.Action, list, c}}
	if known != nil {
		next = append(next, *known...)
	}
	d.counters.Store(&next) // one that gets lost in a race is found again
	return c
}
