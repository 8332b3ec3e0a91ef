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

// dnsLimit is how long all queries to resolvers may take together.
const dnsLimit = 5 * time.Second

// checkDNSAnswers queries each resolver, and the test entries of each zone, all at once.
func (e *exam) checkDNSAnswers() {
	ctx, servers := e.ctx, e.resolvers
	if e.host.Resolver == nil || len(servers) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(ctx, dnsLimit)
	defer cancel()
	client := func(to ...netip.AddrPort) dnsclient.Resolver {
		return e.host.Resolver(dnsclient.Options{Servers: to, Timeout: e.daemon.config.DNS.Timeout, Tries: 3})
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
				ID: "resolver-silent", Severity: Warning, Place: e.resolversAt,
				What: fmt.Sprintf("resolver %s does not answer: %v", addressText(servers[i]), dnsclient.KindOf(err)),
				Why: "If no other resolver does, DNS lists are unavailable, no client name is found out, and [guard] assumes a commitment to STARTTLS. " +
					"Start it, or set another one in resolvers = [...].",
			})
		}
	}
	for i, f := range faults {
		if f != nil && answers {
			f.Place = Place{File: e.daemon.File, Parameter: "zone", Value: zones[i].Name}
			e.add(*f)
		}
	}
	e.resolverAnswers = answers
}

// zones returns all zones of lists, each once.
func (e *exam) zones() (out []dnsbl.Zone) {
	for _, l := range e.daemon.config.Lists {
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

// reachable queries a name that every resolver serves by itself (RFC 6303). Any answer will do.
func reachable(ctx context.Context, ask dnsclient.Resolver) error {
	_, err := ask.Query(ctx, "1.0.0.127.in-addr.arpa.", mdns.TypePTR)
	if k := dnsclient.KindOf(err); err != nil && (k == dnsclient.Timeout || k == dnsclient.Unreachable) {
		return err
	}
	return nil
}

// notBelieved is the consequence of all faults of a zone.
const notBelieved = " The zone is disabled until its health check passes, and its list is unavailable wherever it could have decided."

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
				Why:  "Lists do that when they shut down, and some do it for resolvers that they refuse." + notBelieved + " Remove the zone, or read its usage policy.",
			}
		}
	}
	for _, err := range failed {
		if err != nil {
			return &Finding{
				ID: "zone-silent", Severity: Warning,
				What: fmt.Sprintf("%s does not answer (%v)", z.Name, dnsclient.KindOf(err)),
				Why:  "It may be down for a while, the resolver may refuse to query it, or its name may be misspelled." + notBelieved,
			}
		}
	}
	if said[0] == "" && !z.NoHealthCheck {
		return &Finding{
			ID: "zone-lists-nothing", Severity: Warning,
			What: fmt.Sprintf("%s does not list %s, as every list does (RFC 5782 section 5)", z.Name, has),
			Why: "Its name may be misspelled, the list may have shut down, or it may refuse this resolver." + notBelieved +
				" If the list is known to have no such entry, set health_check = false.",
		}
	}
	return nil
}

// answers returns the addresses of an answer.
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
			means, do := "the query is refused", "Read the usage policy of the list."
			switch a {
			case "127.255.255.252":
				means, do = "the name of the zone is misspelled", "Correct it."
			case "127.255.255.254":
				means, do = "it is queried through a public resolver", "Query it through a resolver of your own, one that does not forward queries."
			case "127.255.255.255":
				means, do = "it is queried too often", "So many queries need a contract, or a copy of the zone on a server of your own."
			}
			return &Finding{ID: "zone-refuses", Severity: Warning, What: fmt.Sprintf("%s answers with an error code, %s: %s", z.Name, a, means), Why: do + notBelieved}
		default:
			return &Finding{
				ID: "zone-no-list", Severity: Warning,
				What: fmt.Sprintf("%s answers %s, which is not in 127.0.0.0/8: bogus answer", z.Name, a),
				Why:  "Either the domain has another owner now, or the resolver makes up answers for names that do not exist." + notBelieved,
			}
		}
	}
	return nil
}
