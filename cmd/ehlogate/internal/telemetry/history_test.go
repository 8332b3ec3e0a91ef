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

// The lines that hid STARTTLS in the last hour and day are counted, with note and last client, the most frequent first; those of a flood are estimated.
func TestSuppressedLines(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n192.0.2.2-192.0.2.66 # scans us\n"})
	synctest.Test(t, func(t *testing.T) {
		r := newQuietRecorder(e)
		d := r.LoggedDecider("memcache", e)
		decide := func(addr string, n int) {
			for range n {
				d.Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr(addr)})
			}
		}
		decide("192.0.2.2", 29)
		decide("192.0.2.66", 1)
		decide("192.0.2.1", 10)
		decide("203.0.113.1", 10)
		got := r.SuppressedLines(time.Now())
		if len(got) != 2 || got[0].Hour.Count != 30 || got[0].Line.Line != 2 || got[0].List != "deny" || got[1].Hour.Count != 10 || got[0].Hour.IsEstimate || !strings.HasSuffix(got[0].File, "deny.list") ||
			got[0].Note != "scans us" || got[0].Client != netip.MustParseAddr("192.0.2.66") || got[0].Day.Count != 30 || got[1].Note != "" {
			t.Fatalf("got %+v", got)
		}
		decide("192.0.2.1", 10_000)
		got = r.SuppressedLines(time.Now())
		if len(got) != 2 || !got[0].Hour.IsEstimate || got[0].Line.Line != 1 || got[0].Hour.Count+got[1].Hour.Count < 10_000 || got[0].Hour.Count+got[1].Hour.Count > 10_040 ||
			got[0].Hour != got[0].Day {
			t.Errorf("a flood: got %+v", got)
		}
		for range 3 * 3600 / 2 {
			r.nextSecond()
			time.Sleep(time.Second)
		}
		decide("192.0.2.2", 1)
		got = r.SuppressedLines(time.Now())
		if len(got) != 2 || got[0].Hour.Count != 0 || got[0].Day.Count < 8_000 || got[1].Hour != (Sessions{Count: 1}) || !got[1].Day.IsEstimate || got[1].Day.Count < 31 || got[1].Client != netip.MustParseAddr("192.0.2.2") {
			t.Errorf("after an hour and a half: got %+v", got)
		}
		time.Sleep(25 * time.Hour)
		if got = r.SuppressedLines(time.Now()); len(got) != 0 {
			t.Errorf("after a day: got %+v", got)
		}
	})
}

// What lists that observe, or a config that does, would hide is counted by line beside what is hidden; those of a flood are
// estimated, and what is observed is no lookup of its own.
func TestObservedLines(t *testing.T) {
	for _, tc := range []struct {
		mode, suppressed, observed string
	}{
		{"", "deny:2 3/3", "trial:1 5/5"},
		{`mode = "observe"`, "", "trial:1 5/5 deny:2 3/3"},
	} {
		e := newManager(t, tc.mode+conf, map[string]string{"trial.list": "192.0.2.0/29\n", "deny.list": "203.0.113.1\n192.0.2.4/30\n"})
		r := newQuietRecorder(e)
		d := r.LoggedDecider("memcache", e)
		for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.4", "192.0.2.5", "192.0.2.6", "198.51.100.1"} {
			d.Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr(addr)})
		}
		describe := func(all []LineCount) string {
			var out []string
			for _, c := range all {
				out = append(out, fmt.Sprintf("%s:%d %d/%d", c.List, c.Line.Line, c.Hour.Count, c.Day.Count))
			}
			return strings.Join(out, " ")
		}
		now := time.Now()
		if s, o := describe(r.SuppressedLines(now)), describe(r.ObservedLines(now)); s != tc.suppressed || o != tc.observed {
			t.Errorf("%s: hidden %q, want %q; would be hidden %q, want %q", tc.mode, s, tc.suppressed, o, tc.observed)
		}
		for range 1000 {
			d.Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr("192.0.2.1")})
		}
		if o := r.ObservedLines(now)[0]; o.Hour != (Sessions{1005, true}) || o.Day != o.Hour {
			t.Errorf("%s: after a flood %+v", tc.mode, o)
		}
		if hours := r.Hours(now, 1); hours[0].Lookups != 1006 {
			t.Errorf("%s: %+v", tc.mode, hours)
		}
		r = newQuietRecorder(e) // what the guard overrides is not observed
		r.noteDecision("memcache", lists.Client{}, lists.Decision{Observed: []lists.Verdict{{Action: lists.Suppress, Overridden: true}}})
		if o := r.ObservedLines(now); len(o) != 0 {
			t.Errorf("overridden: %+v", o)
		}
	}
}

// However many lines hide STARTTLS, the memory is bounded, and the most frequent line is found.
func TestManyLines(t *testing.T) {
	l := newLines()
	now := time.Unix(1e9, 0)
	list := &lists.List{Name: "deny"}
	for i := range 50 * maxLines {
		if i%20 == 0 {
			l.note(&lists.Verdict{Action: lists.Suppress, Reason: lists.ReasonDefault}, netip.Addr{}, now)
		}
		for _, counts := range l.at(now) {
			addLine(counts, Line{List: list.Name, File: "deny.list", Line: i}, "", netip.Addr{})
		}
	}
	for _, w := range []*window[Line, *lineStat]{&l.hour, &l.day} {
		counts, _ := sumLines(w, now)
		if n := counts[Line{Reason: lists.ReasonDefault}].count; len(counts) > maxLines || n < 50*maxLines/20 {
			t.Errorf("%d lines, %d of the most frequent", len(counts), n)
		}
	}
}

// A decider has counters of each list that it met; of too many, the rest counts together.
func TestManyLists(t *testing.T) {
	periods := [2]map[string]uint64{{}, {}}
	for i := range 10_000 {
		addByList(periods, &counter{action: lists.Suppress, list: fmt.Sprint("list", i)}, 2)
	}
	for _, p := range periods {
		if len(p) != maxRecentLists+1 || p[""] != 2*(10_000-maxRecentLists) {
			t.Errorf("%d lists, %d of others", len(p), p[""])
		}
	}
}

// What counting a line costs; it is logged, too (BenchmarkDecisionLine).
func BenchmarkNoteLine(b *testing.B) {
	e := newManager(b, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	d := e.Decide(b.Context(), lists.Client{Addr: netip.MustParseAddr("192.0.2.1")})
	l := newLines()
	client := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		l.note(&d.Verdict, client, time.Now())
	}
}
