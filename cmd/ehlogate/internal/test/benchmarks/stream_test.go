package benchmarks

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
)

// A stream is what a mail server sees: sessions that come at random times, each
// of a client that is drawn independently of those before.
//
// Of the clients the k-th comes 1/k times as often as the first (Zipf's law with
// the exponent 1). The connections of a spam source are distributed like that
// (Jung and Sit, An Empirical Study of Spam Traffic and the Use of DNS Black
// Lists, IMC 2004), and the exponent makes the clients that come n times as
// many as n^-2, which is near what mail logs have: 60 % come once, 17 % twice,
// 7 % three times. Real clients come again sooner than chance has it, so that a
// memory does better with them than here.
//
// The service and the policy are the real ones and run in time that passes at
// once (testing/synctest); so the list is in this process, too, and the delays
// are waits alone, without the CPU time of anything.
type stream struct {
	what     string
	sessions int
	clients  []client
	length   time.Duration
	ttl      time.Duration // of all answers, also that there is none
}

const (
	// An answer comes after a time of which the logarithm is distributed
	// normally: half of them after more than 20 ms, one of a hundred after more
	// than 200 ms, and 3 of a thousand after more than a client waits.
	usualDelay  = 20 * time.Millisecond
	delaySpread = 1.0
	// streamWait is the default of dns.wait.
	streamWait = 300 * time.Millisecond
)

// farList is a DNS list that is far away. It lists addresses that end so
// that they are 2 modulo 4, which 127.0.0.2 does.
type farList struct{ ttl time.Duration }

func (l farList) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	delay := time.NewTimer(aDelay())
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
		return dnsclient.Answer{}, &dnsclient.Error{Kind: dnsclient.Timeout, Name: name, Type: qtype}
	}
	a := dnsclient.Answer{TTL: l.ttl}
	label, rest, _ := strings.Cut(name, ".")
	ours := strings.HasPrefix(rest, "0.0.127.") || strings.Split(rest, ".")[2] != "127" // the others are asked by the self-test
	if last, err := strconv.Atoi(label); err == nil && last%4 == 2 && ours {
		a.Records = []miekg.RR{&miekg.A{A: net.IPv4(127, 0, 0, 2)}}
	}
	return a, nil
}

func isFarListed(a netip.Addr) bool { return a.As4()[3]%4 == 2 }

func aDelay() time.Duration {
	return time.Duration(float64(usualDelay) * math.Exp(delaySpread*rand.NormFloat64()))
}

// TestDNSStream is how often memory knows the answer, beside a memory that holds
// everything for as long as it counts, and how long sessions wait, beside those
// of which none is remembered.
func TestDNSStream(t *testing.T) {
	clients := strangers(pick(200_000, 2_000), 4)
	n := pick(1_000_000, 10_000)
	for _, s := range []stream{
		// A hundred thousand answers are remembered, which is less than come.
		{"in an hour", n, clients, time.Hour, time.Hour},
		// What is remembered is forgotten again and again.
		{"in a day", n, clients, 24 * time.Hour, time.Hour},
		{"in a day, TTL 5 min", n, clients, 24 * time.Hour, 5 * time.Minute},
	} {
		t.Run(s.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.playStream(t).report(t, &s) })
		})
	}
}

// streamed is what became of a stream.
type streamed struct {
	delays    []time.Duration // of each session
	atOnce    int             // sessions of which the memory knew the answer
	late      int             // of which it was not known after the wait
	ideal     int             // sessions of which an infinite memory knows the answer
	distinct  int             // clients that came
	questions uint64          // to the list
	renewals  uint64          // those of them that were asked before a client had to wait
}

func (s *stream) playStream(t *testing.T) *streamed {
	ctx, stop := context.WithCancel(t.Context())
	cache := dnscache.New(dnscache.Defaults(), time.Now, nil)
	service := dnsbl.New(cache, farList{s.ttl})
	source := service.List(dnsbl.Spec{Zones: []dnsbl.Zone{{Domain: dnsbl.NewDomain("far.test", ""), Weight: 1}}, Threshold: 1})
	policy := &lists.Policy{
		Lists:   []*lists.List{{Name: "far", Action: lists.Offer, Source: source, External: true}},
		Default: lists.Suppress, Wait: streamWait,
	}
	var running sync.WaitGroup
	running.Go(func() { cache.Run(ctx) })
	defer running.Wait()
	defer stop()
	time.Sleep(time.Minute) // the first self-test

	out := &streamed{delays: make([]time.Duration, s.sessions)}
	known := make([]time.Time, len(s.clients)) // until when an infinite memory knows
	var mu sync.Mutex
	var sessions sync.WaitGroup
	rank, r := newZipf(len(s.clients)), rand.New(rand.NewPCG(6, 6))
	gap := float64(s.length) / float64(s.sessions)
	due := time.Now()
	for i := range s.sessions {
		due = due.Add(time.Duration(r.ExpFloat64() * gap))
		time.Sleep(time.Until(due))
		came, k := due, rank(r.Float64())
		if due.Before(known[k]) {
			out.ideal++
		} else {
			if known[k].IsZero() {
				out.distinct++
			}
			known[k] = due.Add(s.ttl)
		}
		sessions.Go(func() {
			addr := s.clients[k].addr
			d := policy.Decide(ctx, lists.Client{Addr: addr})
			took := time.Since(came)
			out.delays[i] = took
			mu.Lock()
			defer mu.Unlock()
			switch {
			case d.Reason == lists.ReasonUnavailable:
				out.late++
			case (d.Reason == lists.ReasonListed) != isFarListed(addr):
				t.Errorf("%v: %v, %v", addr, d.Action, d.Reason)
			case took == 0:
				out.atOnce++
			}
		})
	}
	sessions.Wait()
	counts := service.Stats()[0]
	out.questions, out.renewals = counts.Queries, counts.Prefetched
	return out
}

// newZipf draws from n clients, of which the k-th has 1/k of the share of the
// first: it gives the one of a number from 0 to 1.
func newZipf(n int) func(float64) int {
	sums := make([]float64, n)
	sum := 0.0
	for k := range sums {
		sum += 1 / float64(k+1)
		sums[k] = sum
	}
	return func(u float64) int {
		k, _ := slices.BinarySearch(sums, u*sum)
		return min(k, n-1)
	}
}

func (out *streamed) report(t *testing.T, s *stream) {
	percent := func(n int) float64 { return 100 * float64(n) / float64(s.sessions) }
	add := func(what, unit, peer string, ours, theirs float64, note string) {
		r := row{group: "DNS", what: "a stream " + s.what + ": " + what, unit: unit, peer: peer, ours: []float64{ours}, note: note}
		r.theirs, r.ratios = []float64{theirs}, []float64{ours / theirs}
		addRow(t, r)
	}
	add("hit ratio of the memory", "%", "an infinite memory", percent(out.atOnce), percent(out.ideal),
		fmt.Sprintf("%d sessions of %d clients; %d questions to the list, %d of them renewals; not known after %v: %.2f %%",
			s.sessions, out.distinct, out.questions, out.renewals, streamWait, percent(out.late)))

	none := make([]time.Duration, s.sessions)
	for i := range none {
		none[i] = min(aDelay(), streamWait)
	}
	median, p99 := quantileOf(0.5), quantileOf(0.99)
	add("mean delay of a session", "ms", "no memory", meanOf(out.delays), meanOf(none),
		fmt.Sprintf("median %s ms against %s, p99 %s against %s", number(median(out.delays)), number(median(none)), number(p99(out.delays)), number(p99(none))))
}

// meanOf and quantileOf give milliseconds.
func meanOf(v []time.Duration) float64 {
	sum := 0.0
	for _, d := range v {
		sum += float64(d)
	}
	return sum / float64(len(v)) / float64(time.Millisecond)
}

func quantileOf(q float64) func([]time.Duration) float64 {
	return func(v []time.Duration) float64 {
		slices.Sort(v)
		return float64(v[int(q*float64(len(v)-1))]) / float64(time.Millisecond)
	}
}
