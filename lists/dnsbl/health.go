package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/dnsname"
)

// CheckHealth runs the health check of a zone once, apart from IPv6. It returns a *BogusError if the zone must not be used,
// else why that is not known, nil if the zone passes.
func CheckHealth(ctx context.Context, r dnsclient.Resolver, z Zone) error {
	id := zoneID{lists.NormalizeName(z.Name), z.ByName, z.NoHealthCheck}
	a := answerer{resolver: r, counts: new(dnscache.QueryCounts), takes255: z.Answer.Takes255}
	if z.NoHealthCheck {
		return a.checkAnswers(ctx, id)
	}
	entries := testEntries(id)
	if last := len(entries) - 1; entries[last].isIPv6 {
		entries = entries[:last]
	}
	failed, _ := a.checkEntries(ctx, entries, func(f func() error) error { return f() })
	return failed
}

// testEntry is a query of a health check, and its expected answer.
type testEntry struct {
	entry, name string
	listed      bool
	isIPv6      bool // it says something of IPv6 addresses alone
}

// testEntries returns those of RFC 5782 section 5, and a made-up one: that is in no cache of a resolver, which can keep for
// hours what a zone answered before it began to list all addresses. The one about IPv6 is the last.
func testEntries(id zoneID) []testEntry {
	if id.byName {
		return []testEntry{
			{entry: "TEST", name: "test." + id.name, listed: true},
			{entry: "INVALID", name: "invalid." + id.name},
			{entry: "a made-up name", name: fmt.Sprintf("no-entry-%08x.%s", rand.Uint32(), id.name)},
		}
	}
	at := func(a string) string { return dnsname.Reverse(netip.MustParseAddr(a)) + "." + id.name }
	return []testEntry{
		{entry: "127.0.0.2", name: at("127.0.0.2"), listed: true},
		{entry: "127.0.0.1", name: at("127.0.0.1")},
		{entry: "a made-up address", name: at(fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))},
		{entry: "::FFFF:7F00:1", name: at("::ffff:7f00:1"), isIPv6: true},
	}
}

// checkEntries queries all entries at the same time, each by protect. A zone that does not support IPv6 need not have the
// entry for that, so its result is a second one.
func (a answerer) checkEntries(ctx context.Context, entries []testEntry, protect func(func() error) error) (failed, ipv6 error) {
	results := make([]error, len(entries))
	var wg sync.WaitGroup
	for i, e := range entries {
		wg.Go(func() { results[i] = protect(func() error { return a.checkEntry(ctx, e) }) })
	}
	wg.Wait()
	for i, err := range results {
		switch {
		case entries[i].isIPv6:
			ipv6 = err
		case failed == nil || isBogus(err) && !isBogus(failed):
			failed = err
		}
	}
	return failed, ipv6
}

func (a answerer) checkEntry(ctx context.Context, e testEntry) error {
	answers, _, err := a.query(ctx, e.name)
	switch {
	case err != nil:
		return err
	case e.listed && answers == "":
		return &BogusError{Problem: ListsNothing, Entry: e.entry}
	case !e.listed && answers != "":
		return &BogusError{Problem: ListsTooMuch, Entry: e.entry, Answer: formatAnswers(answers)}
	}
	return nil
}

// checkAnswers is the check of a zone without test entries: that it answers at all, as a list does, about an address or name
// that it will not list.
func (a answerer) checkAnswers(ctx context.Context, id zoneID) error {
	name := "invalid"
	if !id.byName {
		name = dnsname.Reverse(netip.MustParseAddr("127.0.0.1"))
	}
	_, _, err := a.query(ctx, name+"."+id.name)
	return err
}

func isBogus(err error) bool { return errors.As(err, new(*BogusError)) }
