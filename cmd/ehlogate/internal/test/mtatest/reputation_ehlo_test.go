package mtatest_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

// The lists of TestReputation. Each kind is there, in an order in which each has something to decide.
const reputationLists = `
[milter]
add_header = true

` + hereList + `[[list]]
name = "drop"
action = "suppress"
files = ["drop.json"]
format = "drop"
min_entries = 2

[[list]]
name = "blocked"
action = "suppress"
zones = [{zone = "deny.test"}]

[[list]]
name = "own"
action = "offer"
files = ["own.list"]

[[list]]
name = "scored"
action = "offer"
zones = [
	{zone = "allow.test", answer = "127.0.[0..255].[1..3]", weight = 2},
	{zone = "score.test", answer = "127.0.4.N", weight = 1},
	{zone = "spam.test", weight = -5},
]
threshold = 4

[[list]]
name = "named"
action = "offer"
zones = [{zone = "names.test", by = "name"}]
`

var reputationFiles = map[string]string{
	"here.list": hereFile,
	"own.list":  ".partner.example\n",
	"drop.json": `{"cidr":"11.0.64.0/24","sblid":"SBL1","rir":"test"}
{"cidr":"2a10:4000::/29","sblid":"SBL2","rir":"test"}
{"type":"metadata","timestamp":1700000000,"size":100,"records":2}
`,
}

// newReputation starts rbldnsd, with the lists of others; a server with forward and reverse zones; and unbound before both.
func newReputation(t *testing.T) *dnstest.Unbound {
	t.Helper()
	v4 := func(zone, text string) dnstest.Dataset {
		return dnstest.Dataset{Zone: zone, Type: "ip4set", Text: "$SOA 60 ns.invalid hostmaster.invalid 1 3600 600 86400 60\n127.0.0.2\n" + text}
	}
	served := dnstest.StartRbldnsd(t,
		v4("deny.test", "11.0.2.0/24\n11.0.64.1\n"),
		v4("allow.test", ":127.0.10.3:\n11.0.1.1\n11.0.1.3\n11.0.1.4\n11.0.2.1\n11.0.64.1\n:127.0.10.0:\n11.0.1.2\n"),
		dnstest.Dataset{Zone: "allow.test", Type: "ip6trie", Text: ":127.0.10.3:\n2a10:1::1\n2a10:4000::1\n"},
		v4("score.test", ":127.0.4.2:\n11.0.1.1\n11.0.1.2\n11.0.2.1\n11.0.64.1\n:127.0.4.9:\n11.0.1.4\n:127.0.4.200:\n11.0.1.5\n"),
		dnstest.Dataset{Zone: "score.test", Type: "ip6trie", Text: ":127.0.4.2:\n2a10:1::1\n2a10:4000::1\n"},
		v4("spam.test", "11.0.1.4\n"),
		dnstest.Dataset{Zone: "names.test", Type: "dnset", Text: "test\nmail.listed.example\n"},
	)
	reverse6 := func(a string) string { return strings.TrimSuffix(reverseName(netip.MustParseAddr(a)), ".ip6.arpa.") }
	names := dnstest.StartServer(t,
		dnstest.NewZone(t, "partner.example", "mx1 A 11.0.3.1\nmx2 A 11.0.3.9\nmx6 AAAA 2a10:3::1\n"),
		dnstest.NewZone(t, "listed.example", "mail A 11.0.3.3\n"),
		dnstest.NewZone(t, "11.in-addr.arpa", "1.3.0 PTR mx1.partner.example.\n2.3.0 PTR mx2.partner.example.\n3.3.0 PTR mail.listed.example.\n"),
		dnstest.NewZone(t, "ip6.arpa", reverse6("2a10:3::1")+" PTR mx6.partner.example.\n"),
	)
	return dnstest.StartUnbound(t, slices.Concat(served.Upstreams(), names.Upstreams())...)
}

// reverseName is where the PTR record of an IPv6 address stands.
func reverseName(a netip.Addr) string {
	var b strings.Builder
	digits := a.As16()
	for i := range 32 {
		fmt.Fprintf(&b, "%x.", digits[15-i/2]>>(4*(i%2))&15)
	}
	return b.String() + "ip6.arpa."
}

// reporting is a Postfix that asks by all ways at once, and the ehlogate that it asks.
type reporting struct {
	*mtatest.Postfix
	*daemon
}

func newReporting(t *testing.T, resolver netip.AddrPort, settings, lists string) *reporting {
	t.Helper()
	g := startDaemon(t, "reputation", "explicit_offer = true\n"+settings, nil,
		fmt.Sprintf("[dns]\nresolvers = [%q]\nverify_names = true\n\n[guard]\noff = true\n", resolver)+lists, reputationFiles)
	s, params := mapped("mx", g.memcache)
	s.Options["smtpd_recipient_restrictions"] = fmt.Sprintf("check_policy_service { inet:%s, timeout=5s, try_limit=1, default_action=DUNNO }", g.policy)
	s.Options["smtpd_milters"] = fmt.Sprintf("{ inet:%s, default_action=accept, connect_timeout=5s, command_timeout=5s }", g.milter)
	return &reporting{daemon: g, Postfix: startPostfix(t, mtatest.PostfixConfig{
		Dir: tempDir(t), Services: []mtatest.Service{s}, Main: params, Files: backupFiles,
	})}
}

// ehlo plays a client that is known.
func (r *reporting) ehlo(t *testing.T, client netip.Addr) greeted {
	t.Helper()
	r.learn(t, client)
	g, err := greetListed(soon(t), r.Addr("mx"), client)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// reports delivers a message in a session and checks that policy delegation and milter say of it what EHLO did, and why.
func (r *reporting) reports(t *testing.T, client netip.Addr, g greeted, why string) {
	t.Helper()
	log, offered := r.Maillog().Mark(), g.reply.Offers("STARTTLS")
	reply, mark := handOver(t, g.SMTP, "")
	if reply.Code != 250 {
		t.Errorf("%v: the message: %v", client, reply)
		return
	}
	mail, err := r.AwaitMail(soon(t), regexp.MustCompile(mark))
	if err != nil {
		t.Fatal(err)
	}
	said := "starttls=suppress"
	if offered {
		said = "starttls=offer"
	}
	header := regexp.MustCompile(`(?m)^X-ehlogate: .*(\n[ \t].*)*`).FindString(mail)
	if !strings.HasPrefix(header, "X-ehlogate: "+said) || !strings.Contains(header, why) {
		t.Errorf("%v: EHLO offered STARTTLS: %v; want a header with %s and %q: %q", client, offered, said, why, header)
	}
	info, err := r.Maillog().Lines(regexp.MustCompile(`info: RCPT from .*`+regexp.QuoteMeta("["+client.String()+"]")+`.*starttls=suppress`), log)
	if err != nil || (len(info) == 0) != offered || !offered && !strings.Contains(info[0], strings.ReplaceAll(why, "; entry", " entry")) {
		t.Errorf("%v: EHLO offered STARTTLS: %v; policy delegation has logged %q, %v", client, offered, info, err)
	}
	if e := r.explain(t, client); "starttls="+e.Decision.Action != said || !strings.Contains(why, e.Decision.List) {
		t.Errorf("%v: /api/v1/decision says %+v, not %s", client, e.Decision, said)
	}
}

// TestReputation has a real Postfix ask an ehlogate that asks a real unbound, which asks a real rbldnsd.
func TestReputation(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "rbldnsd", "unbound")
	t.Parallel()
	resolver := newReputation(t)
	t.Run("STARTTLS for clients that earned it", func(t *testing.T) { earned(t, resolver.Addr) })
	t.Run("limit", func(t *testing.T) { shedding(t, resolver.Addr) })
}

func earned(t *testing.T, resolver netip.AddrPort) {
	r := newReporting(t, resolver, "default = \"suppress\"\n", reputationLists)
	r.awaitZones(t, patience, "enabled", "deny.test", "allow.test", "score.test", "spam.test")
	for _, tc := range []struct {
		what, client string
		offered      bool
		why          string // of the header: the list, and what of the entry is worth a look
	}{
		{"listed by two zones, 2 + 2 of 4", "11.0.1.1", true, "list=scored; entry=allow.test 127.0.10.3 (weight 2), score.test 127.0.4.2 (weight 2), score 4 of 4"},
		{"likewise, IPv6", "2a10:1::1", true, "list=scored"},
		{"listed, by an answer that does not count", "11.0.1.2", false, ""},
		{"listed by one zone only, 2 of 4", "11.0.1.3", false, ""},
		{"listed by two, 2 + 9, and a third that takes 5", "11.0.1.4", true, "list=scored; entry=allow.test 127.0.10.3 (weight 2), score.test 127.0.4.9 (weight 9), spam.test 127.0.0.2 (weight -5), score 6 of 4"},
		{"listed with a score of 200", "11.0.1.5", true, "list=scored; entry=score.test 127.0.4.200 (weight 200), score 200 of 4"},
		{"on no list", "11.0.9.9", false, ""},
		{"on no list, IPv6", "2a10:9::9", false, ""},
		{"in the deny zone, though the allow zones list it", "11.0.2.1", false, "list=blocked; entry=deny.test 127.0.0.2"},
		{"verified name in a file", "11.0.3.1", true, "list=own; entry=.partner.example"},
		{"verified name in a file, IPv6", "2a10:3::1", true, "list=own; entry=.partner.example"},
		{"a name that has another address", "11.0.3.2", false, ""},
		{"verified name in a zone", "11.0.3.3", true, "list=named; entry=names.test"},
		{"in a feed, though zones say both", "11.0.64.1", false, "list=drop; entry=11.0.64.0/24"},
		{"in a feed, IPv6, though allow zones list it", "2a10:4000::1", false, "list=drop; entry=2a10:4000::/29"},
		{"no public address", "192.168.9.9", false, ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			client := netip.MustParseAddr(tc.client)
			g := r.ehlo(t, client)
			defer g.Close()
			if g.reply.Offers("STARTTLS") != tc.offered {
				t.Errorf("EHLO says %v; %+v", g.reply, r.explain(t, client))
			}
			r.reports(t, client, g, tc.why)
		})
	}
	r.seesBreaker(t, true, "deny.test", "allow.test", "score.test", "spam.test")
}

// shedding has more unknown clients come than are offered STARTTLS. Each keeps its answer, and is reported on by that.
func shedding(t *testing.T, resolver netip.AddrPort) {
	const crowd, atATime = 48, 8
	r := newReporting(t, resolver, "default = \"limit\"\n", "\n[limit]\noffers_per_second = 3\n"+reputationLists)
	r.awaitZones(t, patience, "enabled", "deny.test", "allow.test", "score.test", "spam.test")
	listed, denied := netip.MustParseAddr("11.0.1.1"), netip.MustParseAddr("11.0.2.1")
	known := func(when string) {
		t.Helper()
		for client, want := range map[netip.Addr]bool{listed: true, denied: false} {
			g := r.ehlo(t, client)
			if g.reply.Offers("STARTTLS") != want {
				t.Errorf("%s, %v: %v", when, client, g.reply)
			}
			g.Close()
		}
	}
	known("before the crowd")
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{11, 0, 20, byte(1 + i)}) }
	for i := range crowd { // a client that might be on an allow list is offered STARTTLS anyway
		r.learn(t, client(i))
	}
	before := r.reputation(t).Limit
	// come plays a session of each, and keeps those open of which keep says so.
	come := func(keep func(i int, g greeted) bool) []greeted {
		t.Helper()
		all := make([]greeted, crowd)
		errs := make([]error, crowd)
		var wg sync.WaitGroup
		for from := range atATime {
			wg.Go(func() {
				for i := from; i < crowd; i += atATime {
					if all[i], errs[i] = greetListed(soon(t), r.Addr("mx"), client(i)); errs[i] == nil && !keep(i, all[i]) {
						all[i].Quit()
					}
				}
			})
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				t.Fatalf("%v: %v", client(i), err)
			}
		}
		return all
	}
	reported := func(i int, g greeted) bool { return i < 12 || g.reply.Offers("STARTTLS") }
	first := come(reported)
	known("in the crowd")
	offered := 0
	for i, g := range first {
		if g.reply.Offers("STARTTLS") {
			offered++
		}
		if reported(i, g) { // when the load is another than at EHLO
			r.reports(t, client(i), g, "")
			g.Close()
		}
	}
	if offered == 0 || offered == crowd {
		t.Errorf("%d of %d unknown clients were offered STARTTLS", offered, crowd)
	}
	changed := uint64(0)
	for i, g := range come(func(int, greeted) bool { return false }) {
		was, is := first[i].reply.Offers("STARTTLS"), g.reply.Offers("STARTTLS")
		if was != is {
			changed++
		}
		if is && !was {
			t.Errorf("%v was not offered STARTTLS, and is now", client(i))
		}
	}
	after := r.reputation(t).Limit
	if revoked := after.Revoked - before.Revoked; changed != revoked {
		t.Errorf("%d clients were told something else when they came again, and %d came too often", changed, revoked)
	}
	if got := after.Offered + after.Suppressed - before.Offered - before.Suppressed; got != 2*crowd {
		t.Errorf("%d sessions of unknown clients were counted, not %d: a report on a session is not a session", got, 2*crowd)
	}
	t.Logf("%d of %d unknown clients were offered STARTTLS; %d of them were not when they came again", offered, crowd, changed)
}
