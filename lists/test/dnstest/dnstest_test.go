package dnstest

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/dnsclient"

	"ehlogate/lists/test/testenv"
	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queryText sends one query to a server, and returns the reply as a line: the records' data or
// the kind of the error, how many seconds it holds, and "AD" if that is set.
func queryText(t *testing.T, server netip.AddrPort, timeout time.Duration, name string, qtype uint16) string {
	t.Helper()
	c := dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{server}, Timeout: timeout, Tries: 1})
	a, err := c.Query(context.Background(), name, qtype)
	if err != nil {
		return dnsclient.KindOf(err).String()
	}
	var parts []string
	for _, rr := range a.Records {
		parts = append(parts, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(parts)
	if a.Authentic {
		parts = append(parts, "AD")
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, " ")
}

type line struct {
	name  string
	qtype uint16
	want  string
}

func check(t *testing.T, server netip.AddrPort, lines ...line) {
	t.Helper()
	for _, l := range lines {
		if got := queryText(t, server, waitTimeout, l.name, l.qtype); got != l.want {
			t.Errorf("%s %s: got %q, want %q", l.name, dns.TypeToString[l.qtype], got, l.want)
		}
	}
}

const (
	a    = dns.TypeA
	aaaa = dns.TypeAAAA
	txt  = dns.TypeTXT
	tlsa = dns.TypeTLSA
)

var digest = strings.Repeat("ab", 32)

// signedText has all that denial is about: names between others, a wildcard and
// an alias.
var signedText = `
@                 MX    10 mail
mail              A     192.0.2.25
_25._tcp.mail     TLSA  3 1 1 ` + digest + `
www               CNAME mail
away              CNAME mail.plain.test.
lost              CNAME nowhere
*.wild            A     192.0.2.99
`

var listText = "$TTL 77\n$SOA 300 ns.bl.test root.bl.test 1 600 300 86400 33\n:127.0.0.4:Listed, see $\n127.0.0.2\n192.0.2.0/24\n!192.0.2.9\n"

// TestChain is rbldnsd, and zones signed and not, behind unbound.
func TestChain(t *testing.T) {
	testenv.Needs(t, "rbldnsd", "unbound")
	lists := StartRbldnsd(t,
		Dataset{"bl.test", "ip4set", listText},
		Dataset{"bl.test", "ip6trie", ":127.0.0.6:Six\n2001:db8::/32\n"},
		Dataset{"names.test", "dnset", "$SOA 300 ns.names.test root.names.test 1 600 300 86400 33\n:127.0.0.3:Name\nspam.example\n.bulk.example\n"},
		Dataset{"expired.test", "ip4set", "$TIMESTAMP 2000:01:01 2000:01:02\n127.0.0.2\n"},
	)
	signed := NewSignedZone(t, "signed.test", signedText)
	plain := NewZone(t, "plain.test", "mail A 192.0.2.26")
	served := StartServer(t, signed, plain,
		NewZone(t, "in-addr.arpa", "25.2.0.192 PTR mail.signed.test.\n1.0.0.10 PTR lan.test."),
		NewZone(t, "ip6.arpa", dnsReverse(t, "2001:db8::25")+" PTR mail6.signed.test."))
	u := StartUnbound(t, slices.Concat(lists.Upstreams(), served.Upstreams())...)
	if n := len(lists.Upstreams()); n != 3 {
		t.Errorf("%d zones of rbldnsd", n)
	}

	v6 := strings.TrimSuffix(dnsReverse(t, "2001:db8::7"), "ip6.arpa.") + "bl.test"
	check(t, u.Addr,
		line{"2.0.0.127.bl.test", a, "127.0.0.4"},
		line{"7.2.0.192.bl.test", a, "127.0.0.4"},
		line{"7.2.0.192.bl.test", txt, `"Listed, see 192.0.2.7"`},
		line{"7.2.0.192.bl.test", aaaa, "none"},
		line{"9.2.0.192.bl.test", a, "none"},
		line{"1.0.0.127.bl.test", a, "none"},
		line{v6, a, "127.0.0.6"},
		line{v6, txt, `"Six"`},
		line{"spam.example.names.test", a, "127.0.0.3"},
		line{"x.bulk.example.names.test", a, "127.0.0.3"},
		line{"ham.example.names.test", a, "none"},
		line{"2.0.0.127.expired.test", a, "servfail"},

		line{"mail.signed.test", a, "192.0.2.25 AD"},
		line{"MAIL.signed.TEST", a, "192.0.2.25 AD"},
		line{"signed.test", dns.TypeMX, "10 mail.signed.test. AD"},
		line{"_25._tcp.mail.signed.test", tlsa, "3 1 1 " + digest + " AD"},
		line{"www.signed.test", a, "192.0.2.25 AD"},
		line{"mail.signed.test", aaaa, "AD"},      // nothing but that, and for certain
		line{"_tcp.mail.signed.test", a, "AD"},    // has only names below it
		line{"nothing.signed.test", a, "AD"},      // in the middle
		line{"aaa.signed.test", a, "AD"},          // before all others
		line{"zzz.signed.test", a, "AD"},          // behind all others
		line{"x.y.mail.signed.test", a, "AD"},     // below one that exists
		line{"lost.signed.test", a, "AD"},         // an alias to none
		line{"away.signed.test", a, "192.0.2.26"}, // only half of it is signed
		line{"some.wild.signed.test", a, "192.0.2.99 AD"},
		line{"some.wild.signed.test", txt, "AD"},

		line{"mail.plain.test", a, "192.0.2.26"},
		line{"mail.plain.test", txt, "none"},
		line{"nothing.plain.test", a, "none"},
		line{"25.2.0.192.in-addr.arpa", dns.TypePTR, "mail.signed.test."},
		line{"1.0.0.10.in-addr.arpa", dns.TypePTR, "lan.test."},
		line{dnsReverse(t, "2001:db8::25"), dns.TypePTR, "mail6.signed.test."},

		line{"example.org", a, "none"},
		line{"example.org", dns.TypeNS, "none"},
		line{".", dns.TypeNS, "none"},
	)

	c := dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{u.Addr}})
	u.Flush(t)
	for name, want := range map[string]time.Duration{"3.2.0.192.bl.test": 77, "9.9.9.9.bl.test": 33, "none.plain.test": 30} {
		if a, err := c.Query(t.Context(), name, dns.TypeA); err != nil || a.TTL != want*time.Second {
			t.Errorf("%s holds for %s, want %ds; %v", name, a.TTL, want, err)
		}
	}
}

func dnsReverse(t *testing.T, addr string) string {
	t.Helper()
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTampered: what is not what was signed is SERVFAIL, and only that.
func TestTampered(t *testing.T) {
	testenv.Needs(t, "unbound")
	signed := NewSignedZone(t, "signed.test", signedText)
	served := StartServer(t, signed, NewZone(t, "plain.test", "mail A 192.0.2.26"))
	u := StartUnbound(t, served.Upstreams()...)
	names := []line{
		{"mail.signed.test", a, ""}, {"_25._tcp.mail.signed.test", tlsa, ""}, {"signed.test", dns.TypeMX, ""},
		{"mail.signed.test", aaaa, ""}, {"nothing.signed.test", a, ""}, {"www.signed.test", a, ""},
	}
	right := make(map[line]string)
	for _, l := range names {
		right[l] = queryText(t, u.Addr, waitTimeout, l.name, l.qtype)
		if !strings.HasSuffix(right[l], "AD") {
			t.Errorf("%v: %s", l, right[l])
		}
	}
	for _, l := range names {
		u.Flush(t)
		check(t, u.Addr, line{"signed.test", dns.TypeDNSKEY, queryText(t, u.Addr, waitTimeout, "signed.test", dns.TypeDNSKEY)}) // is known before
		served.Fail(".", Fault{Kind: Tamper})
		check(t, u.Addr, line{l.name, l.qtype, "servfail"}, line{"mail.plain.test", a, "192.0.2.1"})
		served.Heal()
		u.Flush(t)
		check(t, u.Addr, line{l.name, l.qtype, right[l]})
	}
	// Without its key the zone cannot be believed, and without signatures neither.
	u.Flush(t)
	signed.key = nil
	signed.Set(t, "")
	check(t, u.Addr, line{"mail.signed.test", a, "servfail"})
}

// TestChanges: zones change while they are served.
func TestChanges(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	lists := StartRbldnsd(t, Dataset{"bl.test", "ip4set", listText}, Dataset{"other.test", "generic", "x A 127.0.0.9"})
	signed := NewSignedZone(t, "signed.test", signedText)
	served := StartServer(t, signed)
	u := StartUnbound(t, slices.Concat(lists.Upstreams(), served.Upstreams())...)
	const where = "_25._tcp.mail.signed.test"
	is := func(lines ...line) {
		t.Helper()
		u.Flush(t)
		check(t, u.Addr, lines...)
	}
	is(line{"7.2.0.192.bl.test", a, "127.0.0.4"}, line{where, tlsa, "3 1 1 " + digest + " AD"})

	// Of the same length, and in the same second.
	lists.Set(t, Dataset{"bl.test", "ip4set", strings.ReplaceAll(listText, "127.0.0.4", "127.0.0.5")})
	is(line{"7.2.0.192.bl.test", a, "127.0.0.5"}, line{"x.other.test", a, "127.0.0.9"})
	lists.Set(t, Dataset{"bl.test", "ip4set", "203.0.113.1\n"}, Dataset{"other.test", "generic", "y A 127.0.0.8"})
	is(line{"7.2.0.192.bl.test", a, "none"}, line{"1.113.0.203.bl.test", a, "127.0.0.2"}, line{"y.other.test", a, "127.0.0.8"})
	lists.Set(t, Dataset{"bl.test", "ip4set", "$TIMESTAMP 2000:01:01 2000:01:02\n203.0.113.1\n"})
	is(line{"1.113.0.203.bl.test", a, "servfail"}, line{"y.other.test", a, "127.0.0.8"})

	signed.Remove(t, "_25._tcp.mail")
	is(line{where, tlsa, "AD"}, line{"_tcp.mail.signed.test", a, "AD"})
	signed.Set(t, "_25._tcp.mail 5 TLSA 2 0 1 "+digest+"\n_25._tcp.mail TLSA 3 1 1 "+digest)
	is(line{where, tlsa, "2 0 1 " + digest + " 3 1 1 " + digest + " AD"})
	signed.Set(t, "mail A 192.0.2.1\nmail AAAA 2001:db8::1")
	is(line{"mail.signed.test", a, "192.0.2.1 AD"}, line{"mail.signed.test", aaaa, "2001:db8::1 AD"})
	signed.Remove(t, "mail", a)
	is(line{"mail.signed.test", a, "AD"}, line{"mail.signed.test", aaaa, "2001:db8::1 AD"})
	signed.Remove(t, "@", dns.TypeMX)
	is(line{"signed.test", dns.TypeMX, "AD"})
}

// TestPrograms: they stop, hang and come back where they were.
func TestPrograms(t *testing.T) {
	testenv.Needs(t, "rbldnsd", "unbound")
	lists := StartRbldnsd(t, Dataset{"bl.test", "ip4set", listText})
	u := StartUnbound(t, lists.Upstreams()...)
	const name, short = "7.2.0.192.bl.test", 50 * time.Millisecond
	for _, p := range []*process{lists.process, u.process} {
		t.Run(p.name, func(t *testing.T) {
			pid, addr := p.Pid(), p.Addr
			check(t, addr, line{name, a, "127.0.0.4"})
			p.Pause(t)
			if got := queryText(t, addr, short, name, a); got != "timeout" {
				t.Errorf("paused: %s", got)
			}
			p.Resume(t)
			check(t, addr, line{name, a, "127.0.0.4"})
			p.Pause(t)
			p.Stop(t)
			p.Stop(t)
			if got := queryText(t, addr, waitTimeout, name, a); got != "unreachable" || p.Pid() != 0 {
				t.Errorf("stopped: %s", got)
			}
			p.Start(t)
			check(t, addr, line{name, a, "127.0.0.4"})
			if p.Pid() == pid || p.Addr != addr {
				t.Errorf("it is %d at %s, and was %d at %s", p.Pid(), p.Addr, pid, addr)
			}
		})
	}
	if s := u.Control(t, "status"); !strings.Contains(s, "is running") {
		t.Errorf("got %q", s)
	}
	lists.Stop(t)
	u.Flush(t)
	if got := queryText(t, u.Addr, short, name, a); got != "timeout" {
		t.Errorf("without an upstream: got %q, want a timeout", got)
	}
	lists.Start(t)
	u.Flush(t)
	check(t, u.Addr, line{"6.2.0.192.bl.test", a, "127.0.0.4"}) // it may not be back at the other for a while
}

// TestOffline: unbound queries no server but its upstreams.
func TestOffline(t *testing.T) {
	testenv.Needs(t, "unbound")
	u := StartUnboundWith(t, "verbosity: 4\nlocal-zone: open.test. transparent", Upstream{Zone: "bl.test", Addr: netip.MustParseAddrPort("127.0.0.1:9")})
	// Has no upstream, so that it has to begin at the root.
	check(t, u.Addr, line{"x.open.test", a, "servfail"})
	log, err := os.ReadFile(u.filePath("log"))
	if err != nil {
		t.Fatal(err)
	}
	tried, refused := strings.Count(string(log), "sending to target: <.>"), strings.Count(string(log), "udp connect failed: ")
	if tried == 0 || tried != refused {
		t.Errorf("of %d packets to others the kernel refused %d", tried, refused)
	}
}
