package export

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go4.org/netipx"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/iprev"
	"ehlogate/lists/test/testenv"
)

// unreachable is a resolver that does not answer.
type unreachable struct{}

func (unreachable) Query(context.Context, string, uint16) (dnsclient.Answer, error) {
	return dnsclient.Answer{}, &dnsclient.Error{Kind: dnsclient.Unreachable}
}

// unreachableDNS returns the DNS cache of a daemon that gets no answer.
func unreachableDNS(t *testing.T) *dnscache.Cache {
	s := dnscache.New(dnscache.Defaults(), time.Now, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

// randomZones returns a DNS list. Some cannot match a client whatever the zones answer, or match only names.
func randomZones(r *rand.Rand) dnsbl.Spec {
	spec := dnsbl.Spec{Threshold: []int{1, 1, 2, -1}[r.IntN(4)]}
	for i := range 1 + r.IntN(3) {
		spec.Zones = append(spec.Zones, dnsbl.Zone{Domain: dnsbl.NewDomain(fmt.Sprintf("z%d.example", i), ""), ByName: r.IntN(4) == 0, NoHealthCheck: r.IntN(3) == 0, Weight: []int{1, 1, 3, -2}[r.IntN(4)]})
	}
	return spec
}

// specialAddresses returns the first and the last address of each special-purpose block (IANA registries of RFC 6890), with
// the addresses beside them, and some others.
func specialAddresses(t *testing.T) (all []netip.Addr) {
	for _, s := range strings.Fields(`0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29
		192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/31 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24
		198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 239.0.0.0/8 240.0.0.0/4 255.255.255.255/32
		::/128 ::1/128 ::ffff:0:0/96 ::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:2::/48
		2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 2000::/3 4000::/3
		fc00::/7 fe80::/10 fec0::/10 ff00::/8 ff02::/16 8.8.8.0/24 2a00::/12`) {
		p := netip.MustParsePrefix(s)
		b := p.Addr().AsSlice()
		for i := p.Bits(); i < 8*len(b); i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		last, ok := netip.AddrFromSlice(b)
		if !ok {
			t.Fatal(s)
		}
		for _, a := range []netip.Addr{p.Addr(), p.Addr().Prev(), p.Addr().Next(), last, last.Prev(), last.Next()} {
			if a.IsValid() {
				all = append(all, a.Unmap()) // as every mail server does with a mapped address
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// randomDNS returns a policy with DNS lists, and addresses to decide.
func randomDNS(t *testing.T, cache *dnscache.Cache, seed uint64) (*Policy, []netip.Addr) {
	r := rand.New(rand.NewPCG(seed, 11))
	clients := specialAddresses(t)
	var ls []testList
	for range 1 + r.IntN(4) {
		text := randomList(r)
		for range r.IntN(10) { // where the borders of the special blocks are
			a := clients[r.IntN(len(clients))]
			p, _ := a.Prefix(a.BitLen() - r.IntN(9))
			text += []string{"", "!"}[r.IntN(2)] + p.String() + "\n"
		}
		action := lists.Action(r.IntN(3))
		if r.IntN(3) == 0 && action != lists.Require {
			text += ".example.net\n!x.example.net\n"
		}
		ls = append(ls, testList{action: action, mode: lists.Mode(r.IntN(6) / 5), text: text})
	}
	p := newTestPolicy(t, lists.Action(r.IntN(2)), lists.Enforce, ls...)
	p.WithoutDNS, p.WithoutNames, p.Policy.Wait = true, true, 10*time.Second
	if r.IntN(2) == 0 {
		p.Policy.Names = iprev.New(cache, unreachable{})
	}
	for range 1 + r.IntN(3) {
		at := r.IntN(len(p.Sources) + 1)
		l := &lists.List{Name: fmt.Sprintf("dns%d", at), Action: lists.Action(r.IntN(3)), Mode: lists.Mode(r.IntN(6) / 5), External: true, Source: dnsbl.New(cache, unreachable{}).List(randomZones(r))}
		p.Sources = slices.Insert(p.Sources, at, nil)
		p.Policy.Lists = slices.Insert(p.Policy.Lists, at, l)
	}
	for range 100 {
		clients = append(clients, randomAddr(r))
	}
	return p, clients
}

// With DNS lists that do not answer, every table decides as the daemon does, for every address.
func TestIdenticalWithoutDNS(t *testing.T) {
	s := unreachableDNS(t)
	differ, asked := 0, 0
	for seed := range uint64(60) {
		p, clients := randomDNS(t, s, seed)
		var postfix, exim, sendmail bytes.Buffer
		for _, err := range []error{p.WritePostfixCIDR(t.Context(), &postfix), p.WriteEximHosts(t.Context(), &exim), p.WriteSendmailAccess(t.Context(), &sendmail)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		accessMap, table := parseAccess(t, sendmail.String()), cidrOf(t, postfix.String())
		set, setErr := p.Addresses(t.Context(), lists.Suppress)
		for _, a := range clients {
			d := p.Policy.Decide(t.Context(), lists.Client{Addr: a})
			suppressed := d.Action == lists.Suppress
			asked++
			got, _ := table.Lookup(a)
			inSet := slices.ContainsFunc(set, func(r netipx.IPRange) bool { return r.Contains(a) })
			if suppressed != (got == "chunking, starttls") || offeredByHosts(t, exim.String(), a) == suppressed || (accessMap.lookup(a) == "") == suppressed || setErr == nil && inSet != suppressed {
				differ++
				t.Errorf("seed %d, %s: the daemon says %v (%v); postfix-cidr %q, exim-hosts offers %v, sendmail-access %v, in the set %v",
					seed, a, d.Action, d.Reason, got, offeredByHosts(t, exim.String(), a), accessMap.lookup(a), inSet)
			}
			if differ > 20 {
				t.FailNow()
			}
		}
	}
	if asked < 10000 {
		t.Errorf("only %d addresses were decided", asked)
	}
}

// Postfix itself reads the tables so.
func TestPostmapWithoutDNS(t *testing.T) {
	testenv.Needs(t, "Postfix")
	s := unreachableDNS(t)
	m := newPostmap(t)
	for seed := range uint64(8) {
		p, clients := randomDNS(t, s, 1000+seed)
		values := m.lookup(t, clients, m.write(t, p, PostfixCIDR))
		for _, a := range clients {
			suppressed := p.Policy.Decide(t.Context(), lists.Client{Addr: a}).Action == lists.Suppress
			if got := values[a]; suppressed != (got == "chunking, starttls") {
				t.Errorf("seed %d, %s: the daemon suppresses %v, postmap says %q", seed, a, suppressed, got)
			}
		}
	}
}
