package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
		wg.Go(func() { faults[i] = checkZone(limited, all, z) })
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

// zones returns all zones of lists, each once, with a filter that takes 127.0.0.255 if one of them does.
func (e *exam) zones() (out []dnsbl.Zone) {
	for _, l := range e.daemon.config.Lists {
		for _, z := range l.Zones.Zones {
			same := func(o dnsbl.Zone) bool {
				return o.Name == z.Name && o.ByName == z.ByName && o.NoHealthCheck == z.NoHealthCheck
			}
			if i := slices.IndexFunc(out, same); i < 0 {
				out = append(out, z)
			} else if z.Answer.Takes255() {
				out[i].Answer = z.Answer
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

// zoneDisabled is the consequence of all faults of a zone.
const zoneDisabled = " The zone is disabled until its health check passes, and its list is unavailable wherever it could have decided."

// checkZone runs the health check of the daemon for a zone; nil if it passes.
func checkZone(ctx context.Context, r dnsclient.Resolver, z dnsbl.Zone) *Finding {
	err := dnsbl.CheckHealth(ctx, r, z)
	var bogus *dnsbl.BogusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bogus):
		return bogusFinding(z, bogus)
	}
	return &Finding{
		ID: "zone-silent", Severity: Warning,
		What: fmt.Sprintf("%s does not answer (%v)", z.Name, dnsclient.KindOf(err)),
		Why:  "It may be down for a while, the resolver may refuse to query it, or its name may be misspelled." + zoneDisabled,
	}
}

// bogusFinding returns the finding about an answer that no list gives.
func bogusFinding(z dnsbl.Zone, e *dnsbl.BogusError) *Finding {
	f := &Finding{Severity: Warning}
	switch e.Problem {
	case dnsbl.ErrorCode:
		f.ID, f.What = "zone-refuses", fmt.Sprintf("%s answers with an error code, %s: %s", z.Name, e.Answer, e.CodeMeaning())
		f.Why = errorCodeRemedy(e.Answer) + zoneDisabled
	case dnsbl.ListsTooMuch:
		f.ID, f.What = "zone-lists-all", fmt.Sprintf("%s lists %s (%s), so it may list every address", z.Name, e.Entry, e.Answer)
		f.Why = "Lists do that when they shut down, and some do it for resolvers that they refuse." + zoneDisabled + " Remove the zone, or read its usage policy."
	case dnsbl.ListsNothing:
		f.ID, f.What = "zone-lists-nothing", fmt.Sprintf("%s does not list %s, as every list does (RFC 5782 section 5)", z.Name, e.Entry)
		f.Why = "Its name may be misspelled, the list may have shut down, or it may refuse this resolver." + zoneDisabled +
			" If the list is known to have no such entry, set health_check = false."
	case dnsbl.TooManyAnswers:
		f.ID, f.What = "zone-no-list", fmt.Sprintf("%s gives %s answers to one query: bogus answer", z.Name, e.Answer)
		f.Why = "Either the domain has another owner now, or the resolver makes up answers." + zoneDisabled
	default:
		f.ID, f.What = "zone-no-list", fmt.Sprintf("%s answers %s, which is not in 127.0.0.0/8: bogus answer", z.Name, e.Answer)
		f.Why = "Either the domain has another owner now, or the resolver makes up answers for names that do not exist." + zoneDisabled
	}
	return f
}

// errorCodeRemedy returns what to do about an error code.
func errorCodeRemedy(code string) string {
	switch code {
	case "127.0.0.255":
		return "Read the usage policy of the list. If it lists clients by this answer, name it in answer = ..."
	case "127.255.255.252":
		return "Correct it."
	case "127.255.255.254":
		return "Query it through a resolver of your own, one that does not forward queries."
	case "127.255.255.255":
		return "So many queries need a contract, or a copy of the zone on a server of your own."
	}
	return "Read the usage policy of the list."
}
