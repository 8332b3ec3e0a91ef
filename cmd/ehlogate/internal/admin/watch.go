package admin

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"ehlogate/lists"
	"ehlogate/policyd"
)

const (
	decisionLines = 200              // at most, a second
	faultPause    = 10 * time.Second // between two lines about the same fault
	maxAbout      = 120              // bytes of a broken request that are logged
	maxStack      = 8 << 10          // bytes of a panic that are logged
	toldSessions  = 10000            // remembered, to tell of each once
)

// faultPanic is the reason of a fault that is ours.
const faultPanic = "panic"

// Watch counts and logs what a protocol does.
type Watch struct {
	metrics *Metrics
	log     *logrus.Logger
	lines   *rate.Limiter
	left    atomic.Uint64 // decisions that were not logged

	told    *lru.Cache[string, struct{}] // sessions and their outcomes
	mu      sync.Mutex
	faults  map[[2]string]*faultState
	exposed Exposed
}

// Exposed is the worst misconfiguration: clients that submit mail, and from
// whom STARTTLS is hidden, send their passwords in the clear.
type Exposed struct {
	Sessions uint64    `json:"sessions"`
	Last     time.Time `json:"last"`
	Client   string    `json:"client"` // the last one
}

type faultState struct {
	next time.Time // when the next line may be written
	left int       // faults without a line
}

// NewWatch makes a watch for all protocols.
func NewWatch(m *Metrics, log *logrus.Logger) *Watch {
	told, err := lru.New[string, struct{}](toldSessions)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Watch{metrics: m, log: log, lines: rate.NewLimiter(decisionLines, decisionLines), told: told, faults: make(map[[2]string]*faultState)}
}

// Run reports once a second how many lines were left out, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.reportLeft()
		case <-ctx.Done():
			w.reportLeft()
			return
		}
	}
}

func (w *Watch) reportLeft() {
	if n := w.left.Swap(0); n > 0 {
		w.log.WithField("decisions", n).Infof("more than %d decisions a second: some are not logged", decisionLines)
	}
}

// Counted is next, with its decisions counted.
func (w *Watch) Counted(protocol string, next policyd.Decider) policyd.Decider {
	count := decided{m: w.metrics, protocol: protocol}
	return policyd.DeciderFunc(func(ctx context.Context, c lists.Client) lists.Decision {
		start := time.Now()
		d := w.decide(ctx, protocol, c, next)
		count.count(d.Verdict, time.Since(start))
		for _, v := range d.Observed {
			w.metrics.observed.WithLabelValues(protocol, v.Action.String(), v.ListName()).Inc()
		}
		return d
	})
}

// Decider is next, with its decisions counted and logged: for the protocols
// that decide over EHLO.
func (w *Watch) Decider(protocol string, next policyd.Decider) policyd.Decider {
	next = w.Counted(protocol, next)
	return policyd.DeciderFunc(func(ctx context.Context, c lists.Client) lists.Decision {
		d := next.Decide(ctx, c)
		if d.Action == lists.Suppress || len(d.Observed) > 0 {
			w.decision(protocol, c, d)
		}
		return d
	})
}

// decide turns a panic into a decision to offer.
func (w *Watch) decide(ctx context.Context, protocol string, c lists.Client, next policyd.Decider) (d lists.Decision) {
	defer func() {
		if p := recover(); p != nil {
			d = lists.Decision{Verdict: lists.Verdict{Action: lists.Offer, Reason: lists.ReasonFault}}
			w.Fault(protocol, faultPanic, fmt.Appendf(nil, "%v\n%s", p, debug.Stack()))
		}
	}()
	return next.Decide(ctx, c)
}

// decision logs what was, or would have been, done to a client.
func (w *Watch) decision(protocol string, c lists.Client, d lists.Decision) {
	if !w.log.IsLevelEnabled(logrus.InfoLevel) {
		return
	}
	if !w.lines.Allow() {
		w.left.Add(1)
		return
	}
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
	v, observing := d.Would()
	if d.Action != lists.Suppress {
		if d.Reason != lists.ReasonObserve { // the first that observes would have decided
			v, observing = observing[0], observing[1:]
		}
		msg = map[lists.Action]string{
			lists.Suppress: "observed: STARTTLS would be suppressed",
			lists.Offer:    "observed: STARTTLS would be offered, as it is",
			lists.Require:  "observed: TLS would be required",
		}[v.Action]
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

// Outcome counts and logs what policy or milter found, once for each session
// and outcome. A session without a name is told of each time.
func (w *Watch) Outcome(protocol, session string, o lists.Outcome, c lists.Client, d lists.Decision) {
	if session != "" {
		if known, _ := w.told.ContainsOrAdd(protocol+" "+o.String()+" "+session, struct{}{}); known {
			return
		}
	}
	w.metrics.outcomes.WithLabelValues(protocol, o.String()).Inc()
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

// Exposed tells of clients whose passwords go in the clear.
func (w *Watch) Exposed() Exposed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exposed
}

// Fault counts a fault of a protocol, and logs it if that was not done for a
// while. about is what it was about, as far as known.
func (w *Watch) Fault(protocol, reason string, about []byte) {
	w.metrics.faults.WithLabelValues(protocol, reason).Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	key, now := [2]string{protocol, reason}, time.Now()
	st := w.faults[key]
	if st == nil {
		st = &faultState{}
		w.faults[key] = st
	}
	if now.Before(st.next) {
		st.left++
		return
	}
	f := logrus.Fields{"protocol": protocol, "reason": reason}
	if len(about) > 0 {
		limit := maxAbout
		if reason == faultPanic { // our own words, and all that there is to find out why
			limit = maxStack
		}
		f["about"] = string(about[:min(len(about), limit)])
	}
	if st.left > 0 {
		f["since_last_line"] = st.left
	}
	*st = faultState{next: now.Add(faultPause)}
	w.log.WithFields(f).Warn(advice(reason))
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
	case "evicted":
		return "too many connections: the longest idle one is closed; raise max_connections in [listen]"
	}
	return "fault; clients are offered STARTTLS or the connection is closed"
}
