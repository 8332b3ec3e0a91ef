package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"

	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnsclient"
)

// dnsLimit is how long all questions to resolvers may take together.
const dnsLimit = 5 * time.Second

// askDNS asks each resolver whether it is there, and each zone what every list
// has to say, all at once; then what the domains of [guard] promised.
func (e *exam) askDNS(ctx context.Context, servers []netip.AddrPort, at Place) {
	if e.host.Ask == nil || len(servers) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(ctx, dnsLimit)
	defer cancel()
	client := func(to ...netip.AddrPort) dnsclient.Resolver {
		return e.host.Ask(dnsclient.Options{Servers: to, Timeout: e.gate.config.DNS.Timeout, Tries: 3})
	}
	zones := e.zones()
	silent, faults := make([]error, len(servers)), make([]*Finding, len(zones))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { silent[i] = reachable(limited, client(s)) })
	}
	all := client(servers...)
	for i, z := range zones {
		wg.Go(func() { faults[i] = judge(limited, all, z) })
	}
	wg.Wait()
	answers := false
	for i, err := range silent {
		if answers = answers || err == nil; err != nil {
			e.add(Finding{
				ID: "resolver-silent", Severity: Warning, Place: at,
				What: fmt.Sprintf("the resolver %s does not answer: %v", address(servers[i]), dnsclient.KindOf(err)),
				Why: "If no other one does, lists by DNS count as not loaded, no name is found out, and [guard] assumes that STARTTLS was promised. " +
					"Start it, or name another in resolvers = [...].",
			})
		}
	}
	for i, f := range faults {
		if f != nil && answers {
			f.Place = Place{File: e.gate.File, Parameter: "zone", Value: zones[i].Name}
			e.add(*f)
		}
	}
	if answers {
		e.promises(ctx, servers)
	}
}

// zones are all zones of lists, each once.
func (e *exam) zones() (out []dnsbl.Zone) {
	for _, l := range e.gate.config.Lists {
		for _, z := range l.Zones.Zones {
			same := func(o dnsbl.Zone) bool {
				return o.Name == z.Name && o.ByName == z.ByName && o.NoHealthCheck == z.NoHealthCheck
			}
			if !slices.ContainsFunc(out, same) {
				out = append(out, z)
			}
		}
	}
	return out
}

func byName(z dnsbl.Zone) bool { return z.ByName }

// reachable asks what every resolver knows by itself (RFC 6303). Any answer
// will do.
func reachable(ctx context.Context, ask dnsclient.Resolver) error {
	_, err := ask.Query(ctx, "1.0.0.127.in-addr.arpa.", mdns.TypePTR)
	if k := dnsclient.KindOf(err); err != nil && (k == dnsclient.Timeout || k == dnsclient.Unreachable) {
		return err
	}
	return nil
}

// notBelieved is what follows, whatever is wrong with a zone.
const notBelieved = " Until that changes, it is not asked, and its list counts as not loaded wherever it could have decided."

// judge finds what is wrong with a zone; nil if nothing is. The entries that it
// needs, and must not have, are those of RFC 5782 section 5; an address of no host,
// or a made-up name, is in no cache of the resolver.
func judge(ctx context.Context, ask dnsclient.Resolver, z dnsbl.Zone) *Finding {
	has, hasNot, madeUp := "127.0.0.2", "127.0.0.1", "an address of no host"
	names := [...]string{"2.0.0.127.", "1.0.0.127.", fmt.Sprintf("%d.%d.%d.127.", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))}
	if z.ByName {
		has, hasNot, madeUp = "TEST", "INVALID", "a made-up name"
		names = [...]string{"test.", "invalid.", fmt.Sprintf("no-entry-%08x.", rand.Uint32())}
	}
	var said [len(names)]string
	var failed [len(names)]error
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			var a dnsclient.Answer
			if a, failed[i] = ask.Query(ctx, name+z.Name, mdns.TypeA); failed[i] == nil {
				said[i] = answers(a)
			}
		})
	}
	wg.Wait()
	for _, s := range said {
		if f := strange(z, s); f != nil {
			return f
		}
	}
	for i, s := range said[1:] {
		if s != "" && !z.NoHealthCheck {
			what := []string{hasNot, madeUp}[i]
			return &Finding{
				ID: "zone-lists-all", Severity: Warning,
				What: fmt.Sprintf("%s lists %s (%s), so it may list every address", z.Name, what, s),
				Why:  "Lists do that when they are given up, and some to resolvers that they refuse." + notBelieved + " Take it out, or see on its web page what it demands.",
			}
		}
	}
	for _, err := range failed {
		if err != nil {
			return &Finding{
				ID: "zone-silent", Severity: Warning,
				What: fmt.Sprintf("%s gives no answer (%v)", z.Name, dnsclient.KindOf(err)),
				Why:  "It may be away for a while, the resolver may refuse to ask it, or its name is misspelt." + notBelieved,
			}
		}
	}
	if said[0] == "" && !z.NoHealthCheck {
		return &Finding{
			ID: "zone-lists-nothing", Severity: Warning,
			What: fmt.Sprintf("%s does not list %s, as every list does (RFC 5782 section 5)", z.Name, has),
			Why: "Its name may be misspelt, the list may be given up, or it tells this resolver nothing." + notBelieved +
				" A list that is known to have no such entry is believed with health_check = false.",
		}
	}
	return nil
}

// answers gives the addresses of an answer.
func answers(a dnsclient.Answer) string {
	var out []string
	for _, rr := range a.Records {
		if a, ok := rr.(*mdns.A); ok {
			out = append(out, a.A.String())
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

// strange finds an answer that is no listing.
func strange(z dnsbl.Zone, said string) *Finding {
	for a := range strings.SplitSeq(said, ", ") {
		switch {
		case said == "" || strings.HasPrefix(a, "127.") && !strings.HasPrefix(a, "127.255.255."):
		case strings.HasPrefix(a, "127.255.255."):
			// As Spamhaus publishes them; others have taken them over.
			means, do := "it is refused", "See on its web page what it demands."
			switch a {
			case "127.255.255.252":
				means, do = "the name of the zone is misspelt", "Correct it."
			case "127.255.255.254":
				means, do = "it is asked through a public resolver", "Have a resolver of your own ask it, one that does not forward queries."
			case "127.255.255.255":
				means, do = "it is asked too often", "So many questions need a contract, or the zone on a server of your own."
			}
			return &Finding{ID: "zone-refuses", Severity: Warning, What: fmt.Sprintf("%s answers with an error code, %s: %s", z.Name, a, means), Why: do + notBelieved}
		default:
			return &Finding{
				ID: "zone-no-list", Severity: Warning,
				What: fmt.Sprintf("%s answers %s, which is not in 127.0.0.0/8 and no answer of a list", z.Name, a),
				Why:  "Either its domain has another owner now, or the resolver makes up answers to what does not exist." + notBelieved,
			}
		}
	}
	return nil
}
