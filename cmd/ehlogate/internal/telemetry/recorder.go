package telemetry

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/logformat"
	"ehlogate/cmd/ehlogate/internal/loglimit"
	"ehlogate/lists"
	"ehlogate/lists/printable"
)

const (
	decisionLines = 200     // log lines about decisions a second, at most
	maxAbout      = 120     // bytes of a malformed request or a name that are logged
	maxStack      = 8 << 10 // bytes of a stack trace that are logged
)

// Recorder counts and logs decisions, outcomes and faults of all protocols.
type Recorder struct {
	metrics    *Metrics
	log        *logrus.Logger
	faultLog   *logrus.Entry                        // the same, without fields
	linesLeft  atomic.Int64                         // decisions that may still be looked at and logged in this second; below zero: those that were not
	second     atomic.Uint64                        // that linesLeft is for
	overridden atomic.Uint64                        // suppressions that the guard kept from taking effect
	faults     atomic.Pointer[map[faultKind]*fault] // replaced to add one

	shares  shares
	names   names
	history history
	// lines and observedLines are for which lines STARTTLS was hidden, and would have been.
	lines, observedLines *lines

	mu      sync.Mutex
	exposed Exposed
}

// NewRecorder returns a Recorder that counts into m. Without [Recorder.Run] it logs no more than the first decisions.
func NewRecorder(m *Metrics, log *logrus.Logger) *Recorder {
	r := &Recorder{metrics: m, log: log, faultLog: logrus.NewEntry(log), names: names{seed: maphash.MakeSeed()},
		history: history{suppressed: newWindows[string, uint64](), observed: newWindows[string, uint64]()}, lines: newLines(), observedLines: newLines()}
	r.linesLeft.Store(decisionLines)
	return r
}

// Run renews the budget of log lines once a second, logs how many decisions were not logged, and forgets what is old, until
// ctx is done.
func (r *Recorder) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.nextSecond()
		case <-ctx.Done():
			r.nextSecond()
			return
		}
	}
}

func (r *Recorder) nextSecond() {
	now := time.Now()
	r.second.Add(1)
	r.metrics.sharedNames.Set(r.names.ofPrivate(now))
	r.history.sampleIfDue(now)
	if n := -r.linesLeft.Swap(decisionLines); n > 0 {
		r.log.WithField("not_logged", n).Infof("rate limited: more than %d decisions in a second", decisionLines)
	}
}

// Overridden returns how many suppressions the guard kept from taking effect, in all protocols together.
func (r *Recorder) Overridden() uint64 { return r.overridden.Load() }

// takeLine reports whether one more decision may be looked at in this second. It reads no clock: Run renews the budget.
func (r *Recorder) takeLine() bool { return r.linesLeft.Add(-1) >= 0 }

// noteDecision counts the lines of lists that hide STARTTLS, or would, and logs the decision.
func (r *Recorder) noteDecision(protocol string, c lists.Client, d lists.Decision) {
	if d.Action == lists.Suppress {
		r.lines.note(&d.Verdict, c.Addr, time.Now())
	}
	for i := range d.Observed {
		if v := &d.Observed[i]; v.Action == lists.Suppress && !v.Overridden {
			r.observedLines.note(v, c.Addr, time.Now())
		}
	}
	if r.log.IsLevelEnabled(logrus.InfoLevel) {
		r.logDecision(protocol, c, d)
	}
}

// logDecision logs what is hidden from a client, or what a list that observes would have done.
func (r *Recorder) logDecision(protocol string, c lists.Client, d lists.Decision) {
	f := logrus.Fields{"protocol": protocol}
	if c.Addr.IsValid() {
		f["client"] = c.Addr.String()
	}
	if c.Name != "" {
		f["name"] = printable.Shorten(c.Name, maxAbout)
	}
	if c.HELO != "" {
		f["helo"] = printable.Shorten(c.HELO, maxAbout)
	}
	wouldHide := addHiddenFields(f, &d)
	if c.Service != lists.SMTP {
		f["service"] = c.Service.String()
	}
	msg := msgSuppressed
	v, observing := d.WithoutObserve()
	if d.Action != lists.Suppress && len(d.Observed) == 0 {
		if v, msg = d.Hidden.By[0], msgWouldHide; !wouldHide {
			v, msg = firstInEffect(d.Hidden), msgHidden
		}
	} else if d.Action != lists.Suppress {
		if d.Reason != lists.ReasonObserve { // then the first verdict without effect is what the line is about
			v, observing = observing[0], observing[1:]
		}
		msg = observedMessage(v)
	}
	if len(observing) > 0 {
		f["observed"] = fmt.Sprintf("%s by %s", observing[0].Action, observing[0].ListName())
	} else if !wouldHide {
		addObservedHiding(f, d.Hidden)
	}
	f["reason"] = v.Reason.String()
	if v.List != nil {
		f["list"] = v.List.Name
	}
	if e := v.Entry(); e.Text != "" {
		f["entry"] = e.Text
		maps.Copy(f, logformat.Place(e.File, e.Line, 0))
	}
	r.log.WithFields(f).Info(msg)
}

// Outcomes returns a function that counts and logs what policy or milter found out about a session. The caller calls it
// once for each outcome of a session.
func (r *Recorder) Outcomes(protocol string) func(o lists.Outcome, c lists.Client, d lists.Decision) {
	var counters [lists.OutcomeCount]prometheus.Counter
	for o := range counters {
		if lists.Outcome(o) != lists.OutcomeOffered {
			counters[o] = r.metrics.outcomes.WithLabelValues(protocol, lists.Outcome(o).String())
		}
	}
	return func(o lists.Outcome, c lists.Client, d lists.Decision) {
		counters[o].Inc()
		if o == lists.OutcomeSubmission {
			r.mu.Lock()
			r.exposed = Exposed{r.exposed.Sessions + 1, time.Now(), c.Addr.String()}
			r.mu.Unlock()
			r.noteFault(protocol, o.String(), func() logrus.Fields { return logrus.Fields{"client": c.Addr.String()} })
			return
		}
		if !r.log.IsLevelEnabled(logrus.DebugLevel) {
			return
		}
		e := d.Entry()
		r.log.WithFields(logrus.Fields{"protocol": protocol, "outcome": o.String(), "client": c.Addr.String(), "name": printable.Shorten(c.Name, maxAbout),
			"helo": printable.Shorten(c.HELO, maxAbout), "list": d.ListName(), "entry": e.Text}).Debug("session")
	}
}

// faultKind is what is counted and logged for itself.
type faultKind struct{ protocol, reason string }

type fault struct {
	count prometheus.Counter
	lines loglimit.Limiter
}

// Fault counts a fault of a protocol, and logs it, rate limited for each protocol and reason. about is the request that
// it is about, or the stack of a panic, as far as known; it may be reused when Fault returns. A client can cause thousands a
// second: one that is not logged takes no lock, and allocates nothing.
func (r *Recorder) Fault(protocol, reason string, about []byte) {
	r.noteFault(protocol, reason, func() logrus.Fields {
		switch {
		case len(about) == 0:
			return logrus.Fields{}
		case reason == FaultPanic: // the stack trace is all that there is to find the cause
			return logrus.Fields{"stack": printable.Shorten(string(about), maxStack)}
		}
		return logrus.Fields{"about": printable.Shorten(string(about[:min(len(about), maxAbout+1)]), maxAbout)}
	})
}

// noteFault counts a fault, and logs it with these and the usual fields.
func (r *Recorder) noteFault(protocol, reason string, fields func() logrus.Fields) {
	f := r.fault(faultKind{protocol, reason})
	f.count.Inc()
	f.lines.Warn(r.faultLog, faultMessage(reason), func() logrus.Fields {
		f := fields()
		f["protocol"], f["reason"] = protocol, reason
		return f
	})
}

func (r *Recorder) fault(kind faultKind) *fault {
	known := r.faults.Load()
	if known != nil && (*known)[kind] != nil {
		return (*known)[kind]
	}
	return r.addFault(kind)
}

func (r *Recorder) addFault(kind faultKind) *fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[faultKind]*fault{}
	if known := r.faults.Load(); known != nil {
		maps.Copy(next, *known)
	}
	if next[kind] == nil { // else another caller was here first
		next[kind] = &fault{count: r.metrics.faults.WithLabelValues(kind.protocol, kind.reason)}
	}
	r.faults.Store(&next)
	return next[kind]
}
