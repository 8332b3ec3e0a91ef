package dnsbl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
)

// CheckHealth runs the health check of a zone once. It returns a *BogusError if the zone must not be used, else why that is
// not known, nil if the zone passes.
func CheckHealth(ctx context.Context, r dnsclient.Resolver, z Zone) error {
	c := New(dnscache.New(dnscache.Defaults(), time.Now, nil), r)
	return c.List(Spec{Zones: []Zone{z}}).members[0].zone.checkHealth(ctx)
}

// testEntry is a query of a health check, and its expected answer.
type testEntry struct {
	entry, question string
	listed          bool
	anyAnswer       bool // any answer of a list will do
	optional        bool // no answer will do
}

// testEntries returns those of RFC 5782 section 5, and a made-up one: that is in no cache of a resolver, which can keep for
// hours what a zone answered before it began to list all addresses. A zone without test entries only has to answer, as a list
// does, about an address or name that it will not list. The servers of a zone of IPv4 addresses need not answer about IPv6.
func (z *zone) testEntries() []testEntry {
	at := func(a string) string { return dnsclient.ReverseAddr(netip.MustParseAddr(a)) }
	switch {
	case z.NoHealthCheck && z.ByName:
		return []testEntry{{question: "invalid", anyAnswer: true}}
	case z.NoHealthCheck:
		return []testEntry{{question: at("127.0.0.1"), anyAnswer: true}}
	case z.ByName:
		return []testEntry{
			{entry: "TEST", question: "test", listed: true},
			{entry: "INVALID", question: "invalid"},
			{entry: "a made-up name", question: fmt.Sprintf("no-entry-%08x", rand.Uint32())},
		}
	}
	return []testEntry{
		{entry: "127.0.0.2", question: at("127.0.0.2"), listed: true},
		{entry: "127.0.0.1", question: at("127.0.0.1")},
		{entry: "a made-up address", question: at(fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))},
		{entry: "::FFFF:7F00:1", question: at("::ffff:7f00:1"), optional: true},
	}
}

// checkHealth is the health check of the breaker. It queries all test entries at the same time.
func (z *zone) checkHealth(ctx context.Context) (failed error) {
	entries := z.testEntries()
	results := make([]error, len(entries))
	var wg sync.WaitGroup
	for i, e := range entries {
		wg.Go(func() { results[i] = z.Protect(func() error { return z.checkEntry(ctx, e) }) })
	}
	wg.Wait()
	for i, err := range results {
		bogus := dnsclient.IsBogus(err)
		if bogus && !dnsclient.IsBogus(failed) || failed == nil && !entries[i].optional {
			failed = err
		}
	}
	return failed
}

// checkEntry queries the resolver itself: a health check is no query about a client.
func (z *zone) checkEntry(ctx context.Context, e testEntry) error {
	answers, _, err := z.query(ctx, z.client.resolver, e.question)
	switch {
	case err != nil || e.anyAnswer:
		return err
	case e.listed && answers == "":
		return &BogusError{Problem: ListsNothing, Entry: e.entry}
	case !e.listed && answers != "":
		return &BogusError{Problem: ListsTooMuch, Entry: e.entry, Answer: formatAnswers(answers)}
	}
	return nil
}
