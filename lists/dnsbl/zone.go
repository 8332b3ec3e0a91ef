package dnsbl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// testEvery is the pause between self-tests, so that a zone that begins to hold
// everybody is found out within a minute.
const testEvery = 30 * time.Second

// zoneID is what makes a zone another one: it is asked, or tested, in another
// way.
type zoneID struct {
	name             string // as by lists.NormalizeName
	byName, untested bool
}

func (id zoneID) compare(other zoneID) int {
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(strings.Compare(id.name, other.name),
		number(id.byName)-number(other.byName), number(id.untested)-number(other.untested))
}

// zone is a DNS zone that holds a list.
type zone struct {
	zoneID
	upstream
	lists255 atomic.Bool // of some source: 127.0.0.255 is no error code
}

// newZone is called with the lock of s held.
func newZone(s *Client, id zoneID) *zone {
	z := &zone{zoneID: id}
	z.setUp(s, "zone "+id.name)
	z.log = s.log.WithField("zone", id.name)
	z.patience = 5 * time.Second
	z.find, z.probe, z.every = z.findListing, z.selfTest, testEvery
	z.fits = func(k key) bool { _, ok := z.question(&k); return ok }
	if id.untested {
		z.probe, z.every = z.alive, 0
		z.trust.Store(uint32(closed))
	}
	if id.untested || id.byName {
		z.trust6.Store(uint32(closed))
	}
	return z
}

// question is the name at which k stands in the zone, if it can: a name may be
// too long for that, or none.
func (z *zone) question(k *key) (string, bool) {
	name, ok := "", true
	if !z.byName {
		name = reverse(k.address())
	} else if name, ok = hostName(k.name); !ok {
		name = strconv.Quote(k.name)
	}
	name += "." + z.name
	return name, ok && len(name) <= maxName
}

func (z *zone) findListing(ctx context.Context, k *key) (string, time.Duration, error) {
	name, _ := z.question(k)
	said, ttl, err := z.listing(ctx, name, &z.asking)
	if err == nil && said != "" {
		z.listed.Add(1)
	}
	return said, ttl, err
}

// maxAnswers is how many different answers one question may have. Lists give
// one for each of their parts that holds the client.
const maxAnswers = 64

// listing asks for the A records at name, and gives of each what is behind 127,
// in order and once. An answer that no list gives is a lie.
func (z *zone) listing(ctx context.Context, name string, count *asking) (string, time.Duration, error) {
	a, err := count.ask(ctx, z.service.asker, name, dns.TypeA)
	if err != nil {
		return "", 0, err
	}
	var found [][3]byte
	for _, rr := range a.Records {
		r, ok := rr.(*dns.A)
		if !ok {
			continue
		}
		addr, _ := netip.AddrFromSlice(r.A)
		addr = addr.Unmap()
		if err := z.credible(addr); err != nil {
			count.kinds[notBelieved].Add(1)
			return "", 0, err
		}
		b := addr.As4()
		found = append(found, [3]byte(b[1:]))
	}
	slices.SortFunc(found, func(a, b [3]byte) int { return slices.Compare(a[:], b[:]) })
	found = slices.Compact(found)
	if len(found) > maxAnswers {
		count.kinds[notBelieved].Add(1)
		return "", 0, bogusAnswer(fmt.Sprintf("it gives %d answers at once", len(found)))
	}
	var b strings.Builder
	for _, f := range found {
		b.Write(f[:])
	}
	return b.String(), a.TTL, nil
}

// credible says that an answer is none of a list (RFC 5782 section 2.1), or is
// an error code. Those below are what Spamhaus and others mean by theirs;
// 127.0.0.255 is that of dnswl.org, and the highest score of a list of scores.
func (z *zone) credible(a netip.Addr) error {
	if !a.Is4() || a.As4()[0] != 127 {
		return bogusAnswer(fmt.Sprintf("it answers %s, which is not in 127.0.0.0/8: the domain or the resolver is not what it was", a))
	}
	switch b := a.As4(); {
	case b == [4]byte{127, 0, 0, 255} && !z.lists255.Load():
		return bogusAnswer("it answers 127.0.0.255, by which lists refuse to answer: it is asked too often, or through a public resolver")
	case b[1] != 255 || b[2] != 255:
		return nil
	}
	why := map[byte]string{252: "the name of the zone is misspelt", 254: "it is asked through a public resolver", 255: "it is asked too often"}[a.As4()[3]]
	if why != "" {
		why = ": " + why
	}
	return bogusAnswer(fmt.Sprintf("it answers %s, which is an error code%s", a, why))
}

// expectation is a question of a self-test, and what is to come of it.
type expectation struct {
	what, name string
	listed     bool
	six        bool // about IPv6 addresses only
}

// expectations are those of RFC 5782 section 5, and one of our own: a made-up
// name, or an address of no host, is in no cache of a resolver, which may know
// for hours what a zone said before it began to hold everything.
func (z *zone) expectations() []expectation {
	madeUp := fmt.Sprintf("no-entry-%08x", rand.Uint32())
	if z.byName {
		return []expectation{
			{what: "TEST", name: "test", listed: true},
			{what: "INVALID", name: "invalid"},
			{what: "a made-up name", name: madeUp},
		}
	}
	at := func(a string) string { return reverse(netip.MustParseAddr(a)) }
	return []expectation{
		{what: "127.0.0.2", name: at("127.0.0.2"), listed: true},
		{what: "127.0.0.1", name: at("127.0.0.1")},
		{what: "a made-up address", name: at(fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))},
		{what: "::FFFF:7F00:1", name: at("::ffff:7f00:1"), six: true},
	}
}

// selfTest probes whether the zone says what every list has to say. A zone that
// knows nothing of IPv6 need not have the entries for that.
func (z *zone) selfTest(ctx context.Context) error {
	expect := z.expectations()
	results := make([]error, len(expect))
	var wg sync.WaitGroup
	for i, x := range expect {
		wg.Go(func() { results[i] = z.check(ctx, x) })
	}
	wg.Wait()
	var failed error
	for i, err := range results {
		var l bogusAnswer
		switch {
		case expect[i].six:
		case errors.As(err, &l):
			return err
		case err != nil:
			failed = err
		}
	}
	if !z.byName {
		z.judge6(results[len(results)-1])
	}
	return failed
}

func (z *zone) check(ctx context.Context, x expectation) (err error) {
	defer z.survive(&err)
	said, _, err := z.listing(ctx, x.name+"."+z.name, new(asking))
	switch {
	case err != nil:
		return err
	case x.listed && said == "":
		return bogusAnswer(x.what + " is not listed, which has to be (RFC 5782 section 5)")
	case !x.listed && said != "":
		return bogusAnswer(fmt.Sprintf("%s is listed (%s), so everything may be", x.what, answers(said)))
	}
	return nil
}

// judge6 believes what the zone says of IPv6 addresses, or not. Without a
// result that stays as it is.
func (z *zone) judge6(err error) {
	var l bogusAnswer
	is := closed
	if errors.As(err, &l) {
		is = open
	} else if err != nil {
		return
	}
	z.mu.Lock()
	z.why6 = string(l)
	passed := z.passed6
	if is == closed {
		z.passed6 = z.tested.Load()
	}
	was := breakerState(z.trust6.Swap(uint32(is)))
	z.mu.Unlock()
	switch {
	case is == was:
	case is == open:
		z.gen.Add(1)
		z.service.memory.drop(func(k *key, e *entry) bool { return k.of == z.id && k.is6() && e.came >= passed })
		z.log.Warnf("%s is not asked about IPv6 addresses: %s; such clients count as unknown", z.what, l)
	case was == open:
		z.log.Infof("%s is asked about IPv6 addresses again", z.what)
	}
}

// alive probes a zone without test entries: that it answers at all, about an
// address that it will not hold, as a list does.
func (z *zone) alive(ctx context.Context) (err error) {
	defer z.survive(&err)
	name := "invalid"
	if !z.byName {
		name = reverse(netip.MustParseAddr("127.0.0.1"))
	}
	_, _, err = z.listing(ctx, name+"."+z.name, new(asking))
	return err
}

// answers gives what is in entry.said in words.
func answers(said string) string {
	var b strings.Builder
	for i := 0; i+3 <= len(said); i += 3 {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "127.%d.%d.%d", said[i], said[i+1], said[i+2])
	}
	return b.String()
}
