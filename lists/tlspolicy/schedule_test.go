package tlspolicy

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists/dnsclient"
)

// running runs a Monitor in a bubble until the test ends.
func running(t *testing.T, cfg Options, r dnsclient.Resolver, clock func() time.Time) *Monitor {
	g, _ := runningWithEvents(t, cfg, r, clock)
	return g
}

func runningWithEvents(t *testing.T, cfg Options, r dnsclient.Resolver, clock func() time.Time) (*Monitor, *recorder) {
	lines := new(recorder)
	cfg.Notify = lines.notify
	g := New(cfg, r, clock)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { g.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	synctest.Wait()
	return g, lines
}

// checkGaps returns the times between the checks within a while.
func checkGaps(g *Monitor, long time.Duration) (gaps []time.Duration) {
	last := g.Report().Domains[0].Checked
	for end := time.Now().Add(long); time.Now().Before(end); {
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if now := g.Report().Domains[0].Checked; !now.Equal(last) {
			gaps = append(gaps, now.Sub(last))
			last = now
		}
	}
	return gaps
}

func about(got, want time.Duration) bool { return got <= want && got >= want*9/10 }

func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResolver()
		g := running(t, Options{Domains: []string{domainName}}, r, time.Now)
		if g.Active() || g.Report().Domains[0].Checked.IsZero() {
			t.Fatalf("not checked at once: %+v", g.Report())
		}
		all := checkGaps(g, 100*time.Hour)
		for _, gap := range all {
			if !about(gap, time.Hour) {
				t.Errorf("a check %s after another", gap)
			}
		}
		if n := len(slices.Compact(all)); n < 50 {
			t.Errorf("%d different times: all Monitors would query at once for ever", n)
		}
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResolver()
		record := "_mta-sts." + domainName + " TXT"
		r.failQueries(record)
		g := running(t, Options{Domains: []string{domainName}}, r, time.Now)
		for range 2 {
			all := checkGaps(g, 6*time.Hour)
			for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
				if !about(all[i], want*time.Minute) {
					t.Errorf("%s after %d failures", all[i], i+1)
				}
			}
			r.setAnswer(record)
			if all = checkGaps(g, 3*time.Hour); !about(all[1], time.Hour) || g.Active() {
				t.Errorf("%s after a good check, %+v", all, g.Report())
			}
			r.failQueries(mx)
			checkGaps(g, time.Second)
			for g.Report().Domains[0].Error == "" {
				time.Sleep(time.Second)
			}
			r.setAnswer(mx)
			checkGaps(g, 2*time.Minute)
			r.failQueries(record)
			for g.Report().Domains[0].Error == "" {
				time.Sleep(time.Second)
			}
		}
	})
}

// A commitment ends in time, and not with the next check.
func TestEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResolver()
		r.setAnswer(mx, "10 mail.example.org.")
		r.setAnswer(mailTLSA, tlsa)
		r.secure(mailTLSA)
		g, lines := runningWithEvents(t, Options{Domains: []string{domainName}, Local: true}, r, time.Now)
		r.setAnswer(mailTLSA)
		checkGaps(g, time.Hour) // it is seen to go
		until := g.Report().Domains[0].DANE.Until
		if !until.After(time.Now()) {
			t.Fatalf("over at once: %+v", g.Report())
		}
		time.Sleep(time.Until(until) - time.Second)
		synctest.Wait()
		if d := g.Report().Domains[0].DANE; !g.Active() || d.State != None || !d.Until.Equal(until) {
			t.Errorf("over before its time: %+v", g.Report())
		}
		lines.reset()
		time.Sleep(time.Second)
		synctest.Wait()
		if g.Active() {
			t.Errorf("not over: %+v", g.Report())
		}
		var got []string
		for _, e := range lines.recorded() {
			got = append(got, describe(e))
		}
		if !slices.Equal(got, []string{noneEvent, inactiveEvent}) {
			t.Errorf("%q", got)
		}
	})
}

// The next check does not wait for the time to come again.
func TestClockSetBackWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		r := newResolver()
		running(t, Options{Domains: []string{domainName}}, r, func() time.Time { return time.Now().Add(time.Duration(offset.Load())) })
		offset.Store(-int64(365 * day))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.times(mx); n != 2 {
			t.Errorf("queried %d times", n)
		}
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		if n := r.times(mx); n != 2 {
			t.Errorf("queried %d times", n)
		}
	})
}

// stuck answers nothing until the context ends.
type stuck struct {
	mu            sync.Mutex
	running, most int
	queries       map[string]int
}

func (s *stuck) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	s.mu.Lock()
	s.queries[question(name, qtype)]++
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	return dnsclient.Answer{}, &dnsclient.Error{Kind: dnsclient.Timeout, Name: name, Type: qtype, Err: ctx.Err()}
}

func manyDomainNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("d%d.example", i))
	}
	return names
}

// Everything is bounded, and the turn of each domain comes, when no server answers.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{queries: make(map[string]int)}
		const n = 100
		g := New(Options{Domains: manyDomainNames(n)}, s, time.Now)
		began := time.Now()
		g.Check(t.Context())
		if took := time.Since(began); took != roundTimeout {
			t.Errorf("a round takes %s", took)
		}
		if s.most != 2*parallel {
			t.Errorf("%d questions at a time", s.most)
		}
		looked := 0
		for _, d := range g.Report().Domains {
			if d.Commitment != Assumed {
				t.Errorf("%+v", d)
			}
			if !d.Checked.IsZero() {
				looked++
			}
		}
		if want := parallel * (1 + int(roundTimeout/domainTimeout)); looked != want {
			t.Errorf("%d domains were looked at, not %d", looked, want)
		}
		for range time.Duration(n) * domainTimeout / parallel / roundTimeout {
			g.Check(t.Context())
		}
		if len(s.queries) != 2*n || slices.Max(slices.Collect(maps.Values(s.queries))) > 2 {
			t.Errorf("not all had their turn: %v", s.queries)
		}
	})
}

// half is stuck for one domain only.
type half struct {
	*resolver
	stuck *stuck
}

func (h half) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	if strings.HasSuffix(name, "stuck.example") {
		return h.stuck.Query(ctx, name, qtype)
	}
	return h.resolver.Query(ctx, name, qtype)
}

// What is found takes effect at once, whatever else is still checked.
func TestTakesEffectAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	cfg := Options{Domains: []string{"stuck.example", domainName}, State: path, Local: true}
	r := newResolver()
	synctest.Test(t, func(t *testing.T) { running(t, cfg, r, time.Now) })
	r.setAnswer(mx, "10 mail.example.org.")
	r.setAnswer(mailTLSA, tlsa)
	r.secure(mailTLSA)
	synctest.Test(t, func(t *testing.T) {
		g := New(cfg, half{r, &stuck{queries: make(map[string]int)}}, time.Now)
		if g.Active() {
			t.Fatalf("%+v", g.Report())
		}
		var wg sync.WaitGroup
		wg.Go(func() { g.Check(t.Context()) })
		synctest.Wait()
		if s := g.Report(); !s.Active || !s.Domains[0].Checked.IsZero() {
			t.Errorf("%+v", s)
		}
		wg.Wait()
	})
}

func TestCheckEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{queries: make(map[string]int)}
		g := running(t, Options{Domains: []string{domainName}}, s, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		g.Check(ctx) // while the other one goes on
		if took := time.Since(began); took != time.Second || s.queries[mx] != 1 {
			t.Errorf("it took %s, %v", took, s.queries)
		}
		time.Sleep(domainTimeout) // between two rounds
		synctest.Wait()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		g.Check(ctx)
		if took := time.Since(began); took != time.Second || s.queries[mx] != 2 {
			t.Errorf("it took %s, %v", took, s.queries)
		}
		if d := g.Report().Domains[0]; !strings.Contains(d.Error, dns.TypeToString[dns.TypeMX]) {
			t.Errorf("a timeout is no failure: %+v", d)
		}
	})
}

// Run keeps the state file, for the next process.
func TestRunSavesState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	cfg := Options{Domains: []string{domainName, "other.example"}, State: path, Local: true}
	r := newResolver()
	r.setAnswer(mx, "10 mail.example.org.")
	r.setAnswer(mailTLSA, tlsa)
	r.secure(mailTLSA)
	synctest.Test(t, func(t *testing.T) { running(t, cfg, r, time.Now) })
	before, err := os.ReadFile(path)
	mustSucceed(t, err)
	synctest.Test(t, func(t *testing.T) {
		lines := new(recorder)
		cfg.Notify = lines.notify
		g := New(cfg, &stuck{queries: make(map[string]int)}, time.Now)
		for i, want := range []Commitment{Confirmed, NoCommitment} {
			if d := g.Report().Domains[i]; d.Commitment != want {
				t.Errorf("%+v", d)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		g.Run(ctx) // and every check fails
		for i, want := range []Commitment{Confirmed, NoCommitment} {
			if d := g.Report().Domains[i]; d.Commitment != want || d.Error == "" {
				t.Errorf("%+v", d)
			}
		}
		if len(lines.recorded()) == 0 {
			t.Error("nothing is reported")
		}
	})
	after, err := os.ReadFile(path)
	mustSucceed(t, err)
	if string(before) != string(after) {
		t.Errorf("%s\n%s", before, after)
	}
}
