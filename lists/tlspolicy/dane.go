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

// discoverTLSA looks for TLSA records of the MX hosts of a domain (RFC 7672 section 2.2). An error means that it is not
// known whether there are any.
//
// Senders may look for them even if the MX records themselves are not secured by DNSSEC (section 2.2.1), so that is not
// checked.
func (m *Monitor) discoverTLSA(ctx context.Context, domain string) (finding, error) {
	best := finding{state: None}
	hosts, failed := m.mailHosts(ctx, domain)
	for _, host := range hosts {
		state, err := m.lookupTLSA(ctx, host)
		switch {
		case err != nil:
			failed = err
		case state == Secure && best.state != Secure, state == Indeterminate && best.state == None:
			best = finding{state: state, id: host}
		}
	}
	if best.state == None { // of which all checks must have succeeded
		return best, failed
	}
	return best, nil
}

// mailHosts returns the hosts that senders may connect to (RFC 5321 section 5.1), and the names that these are aliases
// of (RFC 7672 section 2.2.2). With an error, it returns those that were found.
func (m *Monitor) mailHosts(ctx context.Context, domain string) (hosts []string, err error) {
	a, err := m.resolver.Query(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	if len(a.Records) == 0 {
		return m.appendAliases(ctx, hosts, domain)
	}
	for _, rr := range a.Records {
		mx, ok := rr.(*dns.MX)
		if !ok || mx.Mx == "." { // the domain receives no mail (RFC 7505)
			continue
		}
		if len(hosts) >= maxHosts {
			return hosts, fmt.Errorf("%s has more than %d MX hosts", domain, maxHosts)
		}
		var failed error
		if hosts, failed = m.appendAliases(ctx, hosts, mx.Mx); failed != nil {
			err = failed
		}
	}
	return hosts, err
}

// appendAliases appends a host and the names that it is an alias of.
func (m *Monitor) appendAliases(ctx context.Context, hosts []string, host string) ([]string, error) {
	for range maxAliases {
		host = lists.NormalizeName(host)
		if slices.Contains(hosts, host) {
			return hosts, nil
		}
		hosts = append(hosts, host)
		a, err := m.resolver.Query(ctx, host, dns.TypeCNAME)
		if err != nil || len(a.Records) == 0 {
			return hosts, err
		}
		alias, ok := a.Records[0].(*dns.CNAME)
		if !ok {
			return hosts, nil
		}
		host = alias.Target
	}
	return hosts, fmt.Errorf("%s is behind more than %d aliases", host, maxAliases)
}

// lookupTLSA returns whether a host has TLSA records. Records without the AD bit are insecure only if the same resolver
// sets it for a domain that is secured for certain.
func (m *Monitor) lookupTLSA(ctx context.Context, host string) (State, error) {
	name := "_25._tcp." + host
	if _, ok := dns.IsDomainName(name); !ok {
		return None, nil // too long to exist
	}
	a, err := m.resolver.Query(ctx, name, dns.TypeTLSA)
	switch {
	case err != nil || len(a.Records) == 0:
		return None, err
	case !m.options.Local:
		return Indeterminate, nil
	case a.Authentic:
		return Secure, nil
	}
	if validates, err := m.validates(ctx, a.Server); err != nil || validates {
		return None, err
	}
	return Indeterminate, nil
}

// validates reports whether a resolver validates by DNSSEC.
func (m *Monitor) validates(ctx context.Context, server netip.AddrPort) (bool, error) {
	a, err := m.resolver.Query(ctx, m.options.Signed, dns.TypeNS)
	if err != nil {
		return false, fmt.Errorf("cannot find out whether the resolver validates: %w", err)
	}
	return a.Authentic && a.Server == server, nil
}
