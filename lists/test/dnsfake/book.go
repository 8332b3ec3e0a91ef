// Package dnsfake is a resolver without servers, and what tests of its users share.
package dnsfake

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists/dnsclient"
)

// Book is a resolver that answers what a test has written into it. Its fields are changed in Do.
type Book struct {
	mu       sync.Mutex
	Records  map[string][]string       // by "name TYPE"; "*.zone TYPE" for all others below
	Failing  map[string]dnsclient.Kind // by zone
	TTL      time.Duration
	Negative time.Duration
	Delay    time.Duration
	Stuck    bool // until the context ends

	asked    map[string]int // by "name TYPE"
	inFlight int
	Most     int // in flight at once
}

func NewBook() *Book {
	return &Book{Records: make(map[string][]string), Failing: make(map[string]dnsclient.Kind), asked: make(map[string]int),
		TTL: 10 * time.Minute, Negative: 5 * time.Minute}
}

// Query implements dnsclient.Resolver.
func (b *Book) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	b.mu.Lock()
	b.asked[name+" "+dns.TypeToString[qtype]]++
	b.inFlight++
	b.Most = max(b.Most, b.inFlight)
	delay, stuck := b.Delay, b.Stuck
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.inFlight--
		b.mu.Unlock()
	}()
	fail := func(k dnsclient.Kind) (dnsclient.Answer, error) {
		return dnsclient.Answer{}, &dnsclient.Error{Kind: k, Name: name, Type: qtype, Server: netip.MustParseAddrPort("127.0.0.1:53")}
	}
	if stuck {
		<-ctx.Done()
		return fail(dnsclient.Timeout)
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return fail(dnsclient.Timeout)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for zone, kind := range b.Failing {
		if name == zone || zone == "" || strings.HasSuffix(name, "."+zone) {
			return fail(kind)
		}
	}
	data, ok := b.Records[name+" "+dns.TypeToString[qtype]]
	for rest := name; !ok; {
		var more bool
		if _, rest, more = strings.Cut(rest, "."); !more {
			break
		}
		data, ok = b.Records["*."+rest+" "+dns.TypeToString[qtype]]
	}
	if len(data) == 0 {
		return dnsclient.Answer{TTL: b.Negative}, nil
	}
	a := dnsclient.Answer{TTL: b.TTL}
	for _, d := range data {
		rr, err := dns.NewRR(fmt.Sprintf("%s 1 %s %s", dns.Fqdn(name), dns.TypeToString[qtype], d))
		if err != nil {
			panic(err)
		}
		a.Records = append(a.Records, rr)
	}
	return a, nil
}

// Set writes what there is at a name, as in "2.0.0.127.list.example A".
func (b *Book) Set(question string, data ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Records[question] = data; data == nil {
		delete(b.Records, question)
	}
}

// SetZone writes a zone with its test entry, and its answers about addresses.
func (b *Book) SetZone(zone string, entries map[string]string) {
	b.Set("2.0.0.127."+zone+" A", "127.0.0.2")
	for client, what := range entries {
		name := client
		if a, err := netip.ParseAddr(client); err == nil {
			name = dnsclient.ReverseAddr(a)
		}
		b.Set(name+"."+zone+" A", strings.Fields(what)...)
	}
}

// Do calls f while no query is answered.
func (b *Book) Do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// Break lets queries below a zone fail; "" is for all.
func (b *Book) Break(zone string, k dnsclient.Kind) { b.Do(func() { b.Failing[zone] = k }) }

// Mend lets them be answered again.
func (b *Book) Mend() { b.Do(func() { clear(b.Failing); b.Stuck, b.Delay = false, 0 }) }

// Count returns how often a query was sent.
func (b *Book) Count(question string) (n int) {
	b.Do(func() { n = b.asked[question] })
	return n
}

// Queries returns how often each was sent.
func (b *Book) Queries() (all map[string]int) {
	b.Do(func() { all = maps.Clone(b.asked) })
	return all
}
