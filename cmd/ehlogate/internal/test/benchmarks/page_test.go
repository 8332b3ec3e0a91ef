package benchmarks

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// browse requests paths from a daemon, one after the other, and returns how many bytes it answered.
func (g *daemon) browse(t testing.TB, client *http.Client, paths ...string) (bytes int64) {
	for _, path := range paths {
		r, err := client.Get("http://localhost" + path)
		if err != nil {
			t.Error(err)
			return bytes
		}
		n, err := io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v", path, r.Status, err)
		}
		bytes += n
	}
	return bytes
}

func (g *daemon) newBrowser(t testing.TB) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", g.socket("http"))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestPage measures the status page beside the JSON that has the same, and lookups while someone loads one page after the other.
func TestPage(t *testing.T) {
	for _, n := range pick([]int{10, 1_000}, []int{10}) {
		t.Run(fmt.Sprint(n), func(t *testing.T) { measurePage(t, n) })
	}
}

func measurePage(t *testing.T, n int) {
	group := fmt.Sprintf("status page, %d lists", n)
	list, clients := thousands()
	path := filepath.Join(tempDir(t), "more.list")
	write(t, path, "2001:db8::1\n")
	var settings strings.Builder
	for i := range n - 1 {
		fmt.Fprintf(&settings, "[[list]]\nname = \"more%d\"\naction = \"suppress\"\nfiles = [%q]\n", i, path)
	}
	g := startDaemon(t, settings.String(), list)
	client, sample := g.newBrowser(t), []string{"/?client=192.0.2.7"}
	json := []string{"/healthz", "/api/v1/lists", "/api/v1/reputation", "/api/v1/status", "/api/v1/decision?addr=192.0.2.7"}
	rounds, times := pick(7, 1), pick(100, 3)
	cost := func(name string, paths []string) side {
		return side{name, func() float64 {
			before := cpuTime(t, g.Pid())
			for range times {
				g.browse(t, client, paths...)
			}
			return (cpuTime(t, g.Pid()) - before) * 1e3 / float64(times)
		}}
	}
	compareNoted(t, group, "CPU of a page, with a client explained", "ms", 0, rounds, cost("", sample), cost("the same in JSON", json),
		func() string {
			return fmt.Sprintf("%d kB, and %d of JSON", g.browse(t, client, sample...)/1000, g.browse(t, client, json...)/1000)
		})

	l := newLoad(t, g.socket("memcache"), 2, exchanges("memcache", clients))
	during := func(name string, paths []string) side {
		return side{name, func() float64 {
			ctx, cancel := context.WithCancel(t.Context())
			var browsing sync.WaitGroup
			browsing.Go(func() {
				for ctx.Err() == nil {
					g.browse(t, client, paths...)
				}
			})
			if err := l.runRound(pick(4_000, 400)); err != nil {
				t.Error(err)
			}
			cancel()
			browsing.Wait()
			return l.rates[len(l.rates)-1]
		}}
	}
	compare(t, group, "lookups a second, while pages are loaded without a pause", "/s", 0, rounds, during("", sample), during("while /metrics is", []string{"/metrics"}))
}
