package benchmarks

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// share of what an echo can do at most at which latencies are measured.
const share = 0.3

// TestLatency is how long an answer takes while there is some load, half of the
// clients suppressed.
func TestLatency(t *testing.T) {
	list, clients := million()
	g := startDaemon(t, "", list)
	for _, x := range []struct {
		protocol string
		conns    int
	}{{"memcache", 8}, {"memcache", 64}, {"socketmap", 8}, {"tcp_table", 8}, {"policy", 8}} {
		ours := exchanges(x.protocol, clients)
		_, socket, theirs := startEcho(t, x.protocol, ours)
		_, again, _ := startEcho(t, x.protocol, ours)
		rate := openRate(t, socket, x.conns, theirs)
		// Short rounds, and many: other programs on the machine spoil some.
		n, rounds := pick(int(0.4*rate), 200), pick(21, 1)
		p99 := func(name, socket string, all []exchange) side {
			return side{name, func() float64 { return quantile99(asked(t, socket, x.conns, all, rate, n)) }}
		}
		at := func() string { return fmt.Sprintf("at %.0f requests/s", rate) }
		what := fmt.Sprintf("%s, %d connections, open loop", x.protocol, x.conns)
		floor := p99("echo", socket, theirs)
		compareNoted(t, "p99", what, "µs", 1.2, rounds, p99("ehlogate", g.socket(x.protocol), ours), floor, at)
		if x.protocol == "memcache" {
			compareNoted(t, "p99", "noise: an echo and the same again, "+what, "µs", 0, rounds, p99("echo", again, theirs), floor, at)
		}
	}
	faultless(t, g)
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
