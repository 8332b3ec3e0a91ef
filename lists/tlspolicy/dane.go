package tlspolicy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"ehlogate/lists"
)

const (
	maxHosts   = 50 // MX hosts of a domain, with their aliases
	maxAliases = 8  // CNAME records in a row
)

// findTLSA looks for TLSA records of the MX hosts of a domain (RFC 7672 section
// 2.2). An error means that it is not known whether there are any.
//
// Senders may ask for them even if the MX records themselves are not secured
// (section 2.2.1), so whether these are is of no account.
func (g *Monitor) findTLSA(ctx context.Context, domain string) (tlsaFound, error) {
	best := tlsaFound{state: DANENone}
	hosts, failed := g.mailHosts(ctx, domain)
	for _, host := range hosts {
		f, err := g.tlsaAt(ctx, host)
		switch {
		case err != nil:
			failed = err
		case f.state == DANENone:
		case best.state == DANENone || best.state == DANEUnsure && f.state == DANESecured:
			best.state, best.host = f.state, host
		}
	}
	// One host that promises is enough; for none all must be known.
	if best.state == DANENone && failed != nil {
		return best, failed
	}
	return best, nil
}

// mailHosts gives the hosts that senders may connect to (RFC 5321 section 5.1),
// and what they are aliases of (RFC 7672 section 2.2.2).
func (g *Monitor) mailHosts(ctx context.Context, domain string) (hosts []string, err error) {
	a, err := g.ask.Query(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	if len(a.Records) == 0 {
		return g.withAliases(ctx, hosts, domain)
	}
	for _, rr := range a.Records {
		mx, ok := rr.(*dns.MX)
		if !ok || mx.Mx == "." { // no mail is taken (RFC 7505)
			continue
		}
		if len(hosts) >= maxHosts {
			return hosts, fmt.Errorf("%s has more than %d MX hosts", domain, maxHosts)
		}
		var one error
		if hosts, one = g.withAliases(ctx, hosts, mx.Mx); one != nil {
			err = one // and the others may promise all the same
		}
	}
	return hosts, err
}

func (g *Monitor) withAliases(ctx context.Context, hosts []string, host string) ([]string, error) {
	for range maxAliases {
		host = lists.NormalizeName(host)
		if slices.Contains(hosts, host) {
			return hosts, nil
		}
		hosts = append(hosts, host)
		a, err := g.ask.Query(ctx, host, dns.TypeCNAME)
		if err != nil {
			return hosts, err
		}
		if len(a.Records) == 0 {
			return hosts, nil
		}
		alias, ok := a.Records[0].(*dns.CNAME)
		if !ok {
			return hosts, nil
		}
		host = alias.Target
	}
	return hosts, fmt.Errorf("%s is behind more than %d aliases", host, maxAliases)
}

// tlsaAt looks for the records of one host. Without the AD bit they are taken
// for insecure only if the same server vouches for what is certainly secured.
func (g *Monitor) tlsaAt(ctx context.Context, host string) (tlsaFound, error) {
	name := "_25._tcp." + host
	if _, ok := dns.IsDomainName(name); !ok {
		return tlsaFound{state: DANENone}, nil // too long to exist
	}
	a, err := g.ask.Query(ctx, name, dns.TypeTLSA)
	if err != nil || len(a.Records) == 0 {
		return tlsaFound{state: DANENone}, err
	}
	found := tlsaFound{state: DANEUnsure, host: host}
	if !g.config.Local {
		return found, nil
	}
	if a.Authentic {
		found.state = DANESecured
		return found, nil
	}
	validates, err := g.validates(ctx, a.Server)
	if err != nil {
		return tlsaFound{state: DANENone}, err
	}
	if validates {
		return tlsaFound{state: DANENone}, nil
	}
	return found, nil
}

func (g *Monitor) validates(ctx context.Context, server netip.AddrPort) (bool, error) {
	a, err := g.ask.Query(ctx, g.config.Signed, dns.TypeNS)
	if err != nil {
		return false, fmt.Errorf("finding out whether the resolver validates: %w", err)
	}
	return a.Authentic && a.Server == server, nil
}
