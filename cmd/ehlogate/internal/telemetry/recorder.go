package telemetry

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/loglimit"
	"ehlogate/lists"
	"ehlogate/milter"
	"ehlogate/policyd"
)

const (
	decisionLines = 200     // at most, a second
	maxAbout      = 120     // bytes of a broken request that are logged
	maxStack      = 8 << 10 // bytes of a panic that are logged
)

// FaultPanic is the reason of a fault that is ours.
const FaultPanic = "panic"

// Recorder counts and logs what a protocol does.
type Recorder struct {
	metrics  *Metrics
	log      *logrus.Logger
	lines    atomic.Int64  // that may still be written in this second; less than none: those left out
	heldBack atomic.Uint64 // suppressions, by the guard

	mu      sync.Mutex
	faults  map[[2]string]*loglimit.Limiter
	exposed Exposed
}

// Exposed is the worst misconfiguration: clients that submit mail, and from
// whom STARTTLS is hidden, send their passwords in the clear.
type Exposed struct {
	Sessions uint64    `json:"sessions"`
	Last     time.Time `json:"last"`
	Client   string    `json:"client"` // the last one
}

// NewRecorder makes a recorder for all protocols.
func NewRecorder(m *Metrics, log *logrus.Logger) *Recorder {
	w := &Recorder{metrics: m, log: log, faults: make(map[[2]string]*loglimit.Limiter)}
	w.lines.Store(decisionLines)
	return w
}

// Run lets decisions be logged in the next second, and reports how many were
// left out in the last, until ctx ends.
func (w *Recorder) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.nextSecond()
		case <-ctx.Done():
			w.nextSecond()
			return
		}
	}
}

func (w *Recorder) nextSecond() {
	if n := -w.lines.Swap(decisionLines); n > 0 {
		w.log.WithField("decisions", n).Infof("more than %d decisions a second: some are not logged", decisionLines)
	}
}

// Overridden is how many suppressions the guard has held back, by all protocols.
func (w *Recorder) Overridden() uint64 { return w.heldBack.Load() }

// mayLog takes one of the lines that may be written in this second. It looks
// at no clock: Run gives out new ones.
func (w *Recorder) mayLog() bool {
	return w.log.IsLevelEnabled(logrus.InfoLevel) && w.lines.Add(-1) >= 0
}

// logDecision logs what was, or would have been, done to a client.
func (w *Recorder) logDecision(protocol string, c lists.Client, d lists.Decision) {
	f := logrus.Fields{"protocol": protocol}
	if c.Addr.IsValid() {
		f["addr"] = c.Addr.String()
	}
	if c.Name != "" {
		f["name"] = cut(c.Name)
	}
	if c.HELO != "" {
		f["helo"] = cut(c.HELO)
	}
	msg := "STARTTLS suppressed"
	v, observing := d.WithoutObserve()
	if d.Action != lists.Suppress {
		if d.Reason != lists.ReasonObserve { // the first that observes would have decided
			v, observing = observing[0], observing[1:]
		}
		msg = map[lists.Action]string{
			lists.Suppress: "observed: STARTTLS would be suppressed",
			lists.Offer:    "observed: STARTTLS would be offered, as it is",
			lists.Require:  "observed: TLS would be required",
		}[v.Action]
		if v.Overridden {
			msg = "held back, since a domain that is served here promised STARTTLS, or may have: it would be suppressed"
		}
	}
	if len(observing) > 0 {
		f["observed"] = fmt.Sprintf("%s by %s", observing[0].Action, observing[0].ListName())
	}
	f["reason"] = v.Reason.String()
	if v.List != nil {
		f["list"] = v.List.Name
	}
	if e := v.Entry(); e.Text != "" {
		f["entry"] = e.Text
		if e.File != "" {
			f["at"] = fmt.Sprintf("%s:%d", e.File, e.Line)
		}
	}
	w.log.WithFields(f).Info(msg)
}

// cut bounds what a client can have us log.
func cut(name string) string { return name[:min(len(name), maxAbout)] }

// Outcomes counts and logs what policy or milter found, each outcome of a
// session once: they see to that.
func (w *Recorder) Outcomes(protocol string) func(o lists.Outcome, c lists.Client, d lists.Decision) {
	var counters [lists.OutcomeCount]prometheus.Counter
	for o := range counters {
		if lists.Outcome(o) != lists.OutcomeOffered {
			counters[o] = w.metrics.outcomes.WithLabelValues(protocol, lists.Outcome(o).String())
		}
	}
	return func(o lists.Outcome, c lists.Client, d lists.Decision) {
		counters[o].Inc()
		if o == lists.OutcomeSubmission {
			w.mu.Lock()
			w.exposed = Exposed{w.exposed.Sessions + 1, time.Now(), c.Addr.String()}
			w.mu.Unlock()
			w.Fault(protocol, o.String(), []byte(c.Addr.String()))
			return
		}
		if !w.log.IsLevelEnabled(logrus.DebugLevel) {
			return
		}
		e := d.Entry()
		w.log.WithFields(logrus.Fields{"protocol": protocol, "outcome": o.String(), "addr": c.Addr.String(), "name": cut(c.Name), "helo": cut(c.HELO),
			"list": d.ListName(), "entry": e.Text}).Debug("session")
	}
}

// Exposed tells of clients whose passwords go in the clear.
func (w *Recorder) Exposed() Exposed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exposed
}

// Fault counts a fault of a protocol, and logs it if that was not done for a
// while. about is what it was about, as far as known.
func (w *Recorder) Fault(protocol, reason string, about []byte) {
	w.metrics.faults.WithLabelValues(protocol, reason).Inc()
	w.mu.Lock()
	limiter := w.faults[[2]string{protocol, reason}]
	if limiter == nil {
		limiter = new(loglimit.Limiter)
		w.faults[[2]string{protocol, reason}] = limiter
	}
	w.mu.Unlock()
	f := logrus.Fields{"protocol": protocol, "reason": reason}
	if len(about) > 0 {
		limit := maxAbout
		if reason == FaultPanic { // our own words, and all that there is to find out why
			limit = maxStack
		}
		f["about"] = string(about[:min(len(about), limit)])
	}
	limiter.Warn(w.log.WithFields(f), advice(reason))
}

// advice says what a fault means to who runs the mail server.
func advice(reason string) string {
	switch reason {
	case policyd.FaultKey:
		return "a question about something that is no client; answered with an offer"
	case policyd.FaultMap:
		return "a question for a map that is not served; check the key_format or the map name in the mail server"
	case policyd.FaultCommand:
		return "a command that is not served; is another service meant to be on this socket?"
	case policyd.FaultMalformed, policyd.FaultOversize:
		return "a broken request, the connection is closed; does the mail server speak another protocol?"
	case policyd.FaultTruncated, policyd.FaultTimeout:
		return "a request that did not arrive whole, the connection is closed"
	case lists.OutcomeSubmission.String():
		return "a client that submits mail is kept from TLS: its password goes in the clear; take the map off every smtpd but that on port 25"
	case milter.FaultMacros:
		return "the milter is not told whether mail is encrypted, and does not enforce require; the mail server must send {client_port} and {tls_version} at MAIL (Postfix 2.5 and Sendmail 8.14 do, being asked)"
	case "evicted":
		return "too many connections: the longest idle one is closed; raise max_connections in [listen]"
	}
	return "fault; clients are offered STARTTLS or the connection is closed"
}
