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

// timedShare: the duration of one decision in so many is measured, since reading the clock twice costs as much as a
// decision.
const timedShare = 16

// decider counts, and perhaps logs, the decisions of another Decider for one protocol. It allocates memory only for a
// decision that is logged, and shares no lock with other protocols.
type decider struct {
	recorder *Recorder
	protocol string
	next     lists.Decider
	logged   bool
	// counters are those in use. They are few, and a search costs less than a lookup by label values, which costs
	// more than a decision. The slice is replaced to add one.
	counters atomic.Pointer[[]counter]
}

type counter struct {
	action   lists.Action
	list     string
	observed bool // the verdict has no effect, since its list or the whole policy observes
	prometheus.Counter
}

// Instrumented returns a Decider that decides as next does and counts its decisions.
func (r *Recorder) Instrumented(protocol string, next lists.Decider) lists.Decider {
	return &decider{recorder: r, protocol: protocol, next: next}
}

// LoggedDecider returns a Decider that decides as next does, and counts and logs its decisions. It is for the protocols
// whose answers change the EHLO reply.
func (r *Recorder) LoggedDecider(protocol string, next lists.Decider) lists.Decider {
	d := &decider{recorder: r, protocol: protocol, next: next, logged: true}
	r.history.addDecider(d)
	return d
}

// Decide implements lists.Decider. After a panic it returns Offer.
func (d *decider) Decide(ctx context.Context, c lists.Client) (out lists.Decision) {
	defer func() {
		if p := recover(); p != nil {
			out = lists.Decision{Verdict: lists.Verdict{Action: lists.Offer, Reason: lists.ReasonFault}}
			d.recorder.Fault(d.protocol, FaultPanic, fmt.Appendf(nil, "%v\n%s", p, debug.Stack()))
			d.counter(&out.Verdict, false).Inc()
		}
	}()
	if rand.Uint32()%timedShare == 0 {
		start := time.Now()
		out = d.next.Decide(ctx, c)
		d.recorder.metrics.seconds.Observe(time.Since(start).Seconds())
		if d.logged {
			d.recorder.sampleSession(c.Addr, &out)
		}
	} else {
		out = d.next.Decide(ctx, c)
	}
	d.counter(&out.Verdict, false).Inc()
	for i := range out.Observed {
		v := &out.Observed[i]
		if v.Overridden {
			d.recorder.overridden.Add(1)
			d.recorder.metrics.overridden.WithLabelValues(d.protocol, v.ListName()).Inc()
			continue
		}
		d.counter(v, true).Inc()
	}
	hidden := out.Hidden != nil && d.logged
	if hidden {
		d.recorder.metrics.countHidden(d.protocol, &out)
		hidden = !isQuiet(&out)
	}
	if d.logged && (out.Action == lists.Suppress || len(out.Observed) > 0 || hidden) && d.recorder.takeLine() {
		d.note(ctx, c, out)
	}
	return out
}

// note notes and logs a decision when the client has its answer: a line in the log takes longer than the answer. It is a
// method because what its function needs is allocated for each call.
func (d *decider) note(ctx context.Context, c lists.Client, out lists.Decision) {
	second := d.recorder.second.Load()
	note := func() {
		// A client that does not read may have kept it waiting: then it takes a place among the lines of now.
		if d.recorder.second.Load() != second && !d.recorder.takeLine() {
			return
		}
		defer func() {
			if p := recover(); p != nil {
				d.recorder.Fault(d.protocol, FaultPanic, fmt.Appendf(nil, "%v\n%s", p, debug.Stack()))
			}
		}()
		d.recorder.noteDecision(d.protocol, c, out)
	}
	if !policyd.AfterReply(ctx, note) {
		note()
	}
}

func (d *decider) counter(v *lists.Verdict, observed bool) prometheus.Counter {
	list := v.ListName()
	known := d.counters.Load()
	if known != nil {
		for i := range *known {
			if k := &(*known)[i]; k.action == v.Action && k.list == list && k.observed == observed {
				return k.Counter
			}
		}
	}
	metric := d.recorder.metrics.decisions
	if observed {
		metric = d.recorder.metrics.observed
	}
	c := metric.WithLabelValues(d.protocol, v.Action.String(), list)
	next := []counter{{v.Action, list, observed, c}}
	if known != nil {
		next = append(next, *known...)
	}
	d.counters.Store(&next) // a race may drop another new one, which the next decision adds again
	return c
}
