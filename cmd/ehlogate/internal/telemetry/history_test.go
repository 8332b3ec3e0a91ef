package telemetry

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
)

func newQuietRecorder(e *state.Manager) *Recorder {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return NewRecorder(NewMetrics(e), log)
}

// Each lookup counts in its hour, once, whichever decider of a protocol answered; policy and milter do not count.
func TestHours(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	synctest.Test(t, func(t *testing.T) {
		r := newQuietRecorder(e)
		memcache, cached, policy := r.LoggedDecider("memcache", e), r.LoggedDecider("memcache", e), r.Instrumented("policy", e)
		listed, other := lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}, lists.Client{Addr: netip.MustParseAddr("203.0.113.1")}
		time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour + time.Minute))) // not at its edge, which a look finds within a second
		for range 3 {                                                                       // three hours
			for _, c := range []lists.Client{listed, other, other} {
				memcache.Decide(t.Context(), c)
				policy.Decide(t.Context(), c)
			}
			cached.Decide(t.Context(), listed)
			for range 3600 {
				r.nextSecond()
				time.Sleep(time.Second)
			}
		}
		memcache.Decide(t.Context(), other)
		var got []string
		for _, h := range r.Hours(time.Now(), 5) {
			got = append(got, fmt.Sprintf("%d/%d", h.Suppressed, h.Lookups))
		}
		if want := "0/0 2/4 2/4 2/4 0/1"; strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(hoursKept * time.Hour)
		if all := r.Hours(time.Now(), 2*hoursKept); len(all) != hoursKept || all[0].Lookups != 1 && all[len(all)-1].Lookups != 0 {
			t.Errorf("after a week: %d hours, %v", len(all), all)
		}
	})
}

// The lines that hid STARTTLS in the last hour are counted, the most frequent first; those of a flood are estimated.
func TestSuppressedLines(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n192.0.2.2\n"})
	synctest.Test(t, func(t *testing.T) {
		r := newQuietRecorder(e)
		d := r.LoggedDecider("memcache", e)
		decide := func(addr string, n int) {
			for range n {
				d.Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr(addr)})
			}
		}
		decide("192.0.2.2", 30)
		decide("192.0.2.1", 10)
		decide("203.0.113.1", 10)
		got := r.SuppressedLines(time.Now())
		if len(got) != 2 || got[0].Count != 30 || got[0].Line.Line != 2 || got[0].List != "deny" || got[1].Count != 10 || got[0].IsEstimate || !strings.HasSuffix(got[0].File, "deny.list") {
			t.Fatalf("got %+v", got)
		}
		decide("192.0.2.1", 10_000)
		got = r.SuppressedLines(time.Now())
		if len(got) != 2 || !got[0].IsEstimate || got[0].Line.Line != 1 || got[0].Count+got[1].Count < 10_000 || got[0].Count+got[1].Count > 10_040 {
			t.Errorf("a flood: got %+v", got)
		}
		for range 3 * 3600 / 2 {
			r.nextSecond()
			time.Sleep(time.Second)
		}
		if got = r.SuppressedLines(time.Now()); len(got) != 0 {
			t.Errorf("after an hour and a half: got %+v", got)
		}
	})
}

// However many lines hide STARTTLS, the memory is bounded, and the most frequent line is found.
func TestManyLines(t *testing.T) {
	var l lines
	now := time.Unix(1e9, 0)
	list := &lists.List{Name: "deny"}
	for i := range 50 * maxLines {
		if i%20 == 0 {
			l.note(&lists.Verdict{Action: lists.Suppress, Reason: lists.ReasonDefault}, now)
		}
		p := &l.periods[numberOf(now, recentPeriod)%recentPeriods]
		p.add(Line{List: list.Name, File: "deny.list", Line: i})
	}
	counts, _ := l.sum(now)
	if n := counts[Line{Reason: lists.ReasonDefault}]; len(counts) > maxLines || n < 50*maxLines/20 {
		t.Errorf("%d lines, %d of the most frequent", len(counts), n)
	}
}

// A decider has counters of each list that it met; of too many, the rest counts together.
func TestManyLists(t *testing.T) {
	p := &listPeriod{suppressed: map[string]uint64{}}
	for i := range 10_000 {
		p.add(fmt.Sprint("list", i), 2)
	}
	if len(p.suppressed) != maxRecentLists+1 || p.suppressed[""] != 2*(10_000-maxRecentLists) {
		t.Errorf("%d lists, %d of others", len(p.suppressed), p.suppressed[""])
	}
}

// What counting a line costs; it is logged, too (BenchmarkDecisionLine).
func BenchmarkNoteLine(b *testing.B) {
	e := newManager(b, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	d := e.Decide(b.Context(), lists.Client{Addr: netip.MustParseAddr("192.0.2.1")})
	var l lines
	b.ReportAllocs()
	for b.Loop() {
		l.note(&d.Verdict, time.Now())
	}
}
