package doctor

import (
	"cmp"
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
	servers := e.resolvers
	if e.host.Resolver == nil || len(servers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, dnsLimit)
	defer cancel()
	client := func(to ...netip.AddrPort) dnsclient.Resolver {
		return e.host.Resolver(dnsclient.Options{Servers: to, Timeout: e.config.DNS.Timeout, Tries: 3})
	}
	zones := e.zones()
	silent, faults := make([]error, len(servers)), make([]error, len(zones))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { silent[i] = reachable(ctx, client(s)) })
	}
	all := client(servers...)
	for i, z := range zones {
		wg.Go(func() { faults[i] = dnsbl.CheckHealth(ctx, all, z) })
	}
	wg.Wait()
	answers := false
	for i, err := range silent {
		if answers = answers || err == nil; err != nil {
			e.add(Warning, "resolver-silent", e.resolversAt, fmt.Sprintf("resolver %s does not answer: %v", addressText(servers[i]), dnsclient.KindOf(err)),
				"If no other resolver does, DNS lists are unavailable, no client name is found out, and [guard] assumes a commitment to STARTTLS. "+
					"Start it, or set another one in resolvers = [...].")
		}
	}
	for i, err := range faults {
		if err != nil && answers {
			e.addZoneFault(zones[i], err)
		}
	}
}

// zones returns all zones of lists, each once, with a filter that takes 127.0.0.255 if one of them does.
func (e *exam) zones() (out []dnsbl.Zone) {
	for _, l := range e.config.Lists {
		for _, z := range l.Zones.Zones {
			same := func(o dnsbl.Zone) bool { return o.ID() == z.ID() }
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

// addZoneFault adds why a zone fails the health check of the daemon.
func (e *exam) addZoneFault(z dnsbl.Zone, err error) {
	at := e.configPlace("zone", z.Domain)
	var bogus *dnsbl.BogusError
	if !errors.As(err, &bogus) {
		e.add(Warning, "zone-silent", at, fmt.Sprintf("%s does not answer (%v)", z.Domain, dnsclient.KindOf(err)),
			"It may be down for a while, the resolver may refuse to query it, or its name may be misspelled."+zoneDisabled)
		return
	}
	switch bogus.Problem {
	case dnsbl.ErrorCode:
		e.add(Warning, "zone-refuses", at, fmt.Sprintf("%s answers with an error code, %s: %s", z.Domain, bogus.Answer, bogus.CodeMeaning()),
			cmp.Or(remedies[bogus.Answer], "Read the usage policy of the list.")+zoneDisabled)
	case dnsbl.ListsTooMuch:
		e.add(Warning, "zone-lists-all", at, fmt.Sprintf("%s lists %s (%s), so it may list every address", z.Domain, bogus.Entry, bogus.Answer),
			"Lists do that when they shut down, and some do it for resolvers that they refuse."+zoneDisabled+" Remove the zone, or read its usage policy.")
	case dnsbl.ListsNothing:
		e.add(Warning, "zone-lists-nothing", at, fmt.Sprintf("%s does not list %s, as every list does (RFC 5782 section 5)", z.Domain, bogus.Entry),
			"Its name may be misspelled, the list may have shut down, or it may refuse this resolver."+zoneDisabled+
				" If the list is known to have no such entry, set health_check = false.")
	case dnsbl.TooManyAnswers:
		e.add(Warning, "zone-no-list", at, fmt.Sprintf("%s gives %s answers to one query: bogus answer", z.Domain, bogus.Answer),
			"Either the domain has another owner now, or the resolver makes up answers."+zoneDisabled)
	default:
		e.add(Warning, "zone-no-list", at, fmt.Sprintf("%s answers %s, which is not in 127.0.0.0/8: bogus answer", z.Domain, bogus.Answer),
			"Either the domain has another owner now, or the resolver makes up answers for names that do not exist."+zoneDisabled)
	}
}

// remedies are what to do about an error code.
var remedies = map[string]string{
	"127.0.0.255":     "Read the usage policy of the list. If it lists clients by this answer, name it in answer = ...",
	"127.255.255.252": "Correct it.",
	"127.255.255.254": "Query it through a resolver of your own, one that does not forward queries.",
	"127.255.255.255": "So many queries need a contract, or a copy of the zone on a server of your own.",
}
