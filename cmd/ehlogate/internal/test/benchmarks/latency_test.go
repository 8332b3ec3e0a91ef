package benchmarks

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// share of what an echo can do at most at which an open loop asks while a list
// is reloaded.
const share = 0.3

// latencyRate is how many requests a second there are when latencies are
// measured. At a third of what a server can do they would be those of a queue,
// which grows whenever the machine is slower for a moment.
const latencyRate = 5000

// TestLatency is how long an answer takes while there is some load, half of the
// clients suppressed.
func TestLatency(t *testing.T) {
	list, clients := million()
	g := startDaemon(t, "", list)
	quiet := newDaemon(t, "[log]\nlevel = \"warn\"", list)
	quiet.Ready = mtatest.ReadyDial(quiet.socket("http")) // its log does not say
	if err := quiet.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	preferProcess(t, g.Pid())
	preferProcess(t, quiet.Pid())
	for _, x := range []struct {
		protocol string
		conns    int
	}{{"memcache", 8}, {"memcache", 64}, {"socketmap", 8}, {"tcp_table", 8}, {"policy", 8}} {
		ours := exchanges(x.protocol, clients)
		echo, socket, theirs := startEcho(t, x.protocol, ours)
		preferProcess(t, echo.Pid())
		what := fmt.Sprintf("%s, %d connections, %d requests/s", x.protocol, x.conns, latencyRate)
		floor := &latency{socket: socket, conns: x.conns, all: theirs}
		compareLatency(t, what, 1.2, &latency{socket: g.socket(x.protocol), conns: x.conns, all: ours}, floor)
		if x.protocol == "memcache" {
			again, socket, _ := startEcho(t, x.protocol, ours)
			preferProcess(t, again.Pid())
			compareLatency(t, what+", no lines in the log", 0, &latency{socket: quiet.socket(x.protocol), conns: x.conns, all: ours}, floor)
			compareLatency(t, "noise: an echo and the same again, "+what, 0, &latency{socket: socket, conns: x.conns, all: theirs}, floor)
		}
	}
	faultless(t, g)
}

// latency measures p99 of one server.
type latency struct {
	socket         string
	conns          int
	all            []exchange
	asked, leftOut float64 // requests, and those of them that are not counted
}

// p99 is one round of two seconds, of which the second counts. The daemon writes
// 200 lines a second to its log at most, and a round begins with those that the
// pause before it saved.
func (l *latency) p99(t testing.TB) float64 {
	t.Helper()
	got := asked(t, l.socket, l.conns, l.all, latencyRate, pick(2*latencyRate, 200))
	if full {
		got = slices.DeleteFunc(got, func(x timing) bool { return x.due < time.Second })
	}
	kept := slices.DeleteFunc(slices.Clone(got), func(x timing) bool { return x.stopped })
	l.asked, l.leftOut = l.asked+float64(len(got)), l.leftOut+float64(len(got)-len(kept))
	if len(kept) < len(got)/2 {
		kept = got // the rest is too little for a quantile
	}
	return quantile99(kept)
}

// compareLatency adds a row of p99.
func compareLatency(t *testing.T, what string, goal float64, ours, echo *latency) {
	t.Helper()
	ours.asked, ours.leftOut, echo.asked, echo.leftOut = 0, 0, 0, 0
	measure := func(l *latency) func() float64 { return func() float64 { return l.p99(t) } }
	compareNoted(t, "p99", what, "µs", goal, pick(9, 1), side{"", measure(ours)}, side{"echo", measure(echo)}, func() string {
		return fmt.Sprintf("not counted: %.0f %% of ours and %.0f %% of theirs, while a processor had stopped", 100*ours.leftOut/ours.asked, 100*echo.leftOut/echo.asked)
	})
}

// openRate is the rate of an open loop: a share of that of a closed loop over
// the same socket.
func openRate(t testing.TB, socket string, conns int, all []exchange) float64 {
	t.Helper()
	l := newLoad(t, socket, conns, all)
	for range pick(5, 1) {
		if err := l.runRound(requests(conns)); err != nil {
			t.Fatal(err)
		}
	}
	_, rate, _ := quartiles(l.rates)
	return share * rate
}

// asked is an open loop without a failure.
func asked(t testing.TB, socket string, conns int, all []exchange, rate float64, n int) []timing {
	t.Helper()
	got, failures, err := openLoop(soon(t), socket, conns, all, rate, n)
	if err != nil || failures > 0 || len(got) != n {
		t.Errorf("%d of %d requests answered, %d failed: %v", len(got), n, failures, err)
	}
	return got
}

// quantile99 is how long 99 of 100 took at most, in microseconds.
func quantile99(got []timing) float64 {
	if len(got) == 0 {
		return 0
	}
	slices.SortFunc(got, func(a, b timing) int { return cmp.Compare(a.took, b.took) })
	return float64(got[(len(got)-1)*99/100].took) / float64(time.Microsecond)
}
