package benchmarks

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestProtocols is what a request costs over what its protocol costs any
// server that speaks it.
func TestProtocols(t *testing.T) {
	list, clients := million()
	g := startDaemon(t, "", list)
	list, few := thousands()
	short := startDaemon(t, "", list)
	for _, protocol := range []string{"memcache", "socketmap", "tcp_table", "policy"} {
		goal := 1.10
		if protocol == "policy" { // it reads thirty attributes, and follows sessions
			goal = 1.25
		}
		before, asked := mallocs(t, g), 0
		for _, conns := range []int{1, 8, 64} {
			asked += protocolRow(t, g, protocol, conns, clients, "", goal)
		}
		single(t, "allocations", protocol+", for each request", "", (mallocs(t, g)-before)/float64(asked), 0, "those for lines of the log among them, 200 a second")
		protocolRow(t, short, protocol, 8, few, ", a list of 2,000", 0)
	}
	faultless(t, g)
}

// protocolRow compares a daemon with an echo, and says how often it was asked.
func protocolRow(t *testing.T, g *daemon, protocol string, conns int, clients []client, also string, goal float64) (asked int) {
	what := fmt.Sprintf("%s, %d at a time%s", protocol, conns, also)
	n, rounds := requests(conns), pick(9, 1)
	t.Run(what, func(t *testing.T) {
		ours := exchanges(protocol, clients)
		echo, socket, theirs := startEcho(t, protocol, ours)
		a, b := newLoad(t, g.socket(protocol), conns, ours), newLoad(t, socket, conns, theirs)
		compareNoted(t, "CPU", what, "µs", goal, rounds, cpuSide(t, "ehlogate", g.Daemon, a, n), cpuSide(t, "echo", echo, b, n),
			func() string { return rates(a, b) })
	})
	return n * (rounds + 1)
}

// mallocs is how many allocations a daemon has made.
func mallocs(t testing.TB, g *daemon) (n float64) {
	t.Helper()
	for line := range strings.Lines(metrics(t, g)) {
		if got, _ := fmt.Sscanf(line, "go_memstats_mallocs_total %g", &n); got == 1 {
			return n
		}
	}
	t.Fatal("the metrics do not count allocations")
	return 0
}

// How far two that are the same differ.
func TestNoise(t *testing.T) {
	_, clients := million()
	ours := exchanges("memcache", clients)
	echo1, socket1, theirs := startEcho(t, "memcache", ours)
	echo2, socket2, _ := startEcho(t, "memcache", ours)
	a, b := newLoad(t, socket1, 8, theirs), newLoad(t, socket2, 8, theirs)
	n := requests(8)
	compareNoted(t, "CPU", "noise: an echo and the same again, 8 connections", "µs", 0, pick(9, 1),
		cpuSide(t, "echo", echo1, a, n), cpuSide(t, "echo", echo2, b, n), func() string { return rates(a, b) })
}

// requests of a round: half a second, or enough to see that it works.
func requests(conns int) int {
	if conns == 1 {
		return pick(10_000, 200)
	}
	return pick(25_600, 256)
}

func rates(a, b *load) string {
	_, ours, _ := quartiles(a.rates)
	_, theirs, _ := quartiles(b.rates)
	return fmt.Sprintf("%.0f against %.0f requests/s", ours, theirs)
}

// metrics are those of a daemon, as text.
func metrics(t testing.TB, g *daemon) string {
	t.Helper()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", g.socket("http"))
		},
	}
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://ehlogate/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s, %v", resp.Status, err)
	}
	return string(text)
}
