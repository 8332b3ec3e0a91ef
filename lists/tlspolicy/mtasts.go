package tlspolicy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// findPolicy discovers the policy of a domain (RFC 8461 section 3). An error
// means that it is not known whether there is one; with an id, there is one
// that others may well get.
//
// cached: senders remember a policy that is to be enforced. They may renew it
// without a look at the record (section 10.2), so it is looked for without.
func (g *Monitor) findPolicy(ctx context.Context, domain string, cached bool) (policyFound, error) {
	none := policyFound{state: MTASTSNone}
	a, err := g.ask.Query(ctx, "_mta-sts."+domain, dns.TypeTXT)
	if err != nil {
		return none, err
	}
	found := records(a.Records)
	id, broken := "", error(nil)
	if len(found) == 1 {
		id, broken = parseRecord(found[0])
	}
	announced := len(found) == 1 && broken == nil
	if len(found) != 1 && !cached {
		return none, nil
	}
	p, err := g.fetchPolicy(ctx, domain)
	switch {
	case announced && err != nil:
		return policyFound{id: id}, fmt.Errorf("the record _mta-sts.%s announces a policy that cannot be had: %w; serve it, or take out the record", domain, err)
	case announced:
		return policyFound{state: p.mode, id: id, maxAge: p.maxAge}, nil
	case err != nil || p.mode != MTASTSEnforce:
		return none, nil
	case broken != nil:
		// Senders must not take such a record for one; some are not so strict.
		return policyFound{state: MTASTSEnforce, maxAge: p.maxAge}, nil
	}
	return policyFound{state: MTASTSNone, maxAge: p.maxAge, cached: true}, nil
}

// fetchTime is for all of a fetch (RFC 8461 section 3.3).
const fetchTime = time.Minute

// fetchPolicy gets the policy that the host of a domain serves (RFC 8461
// section 3.3), on a connection of its own and without any proxy.
func (g *Monitor) fetchPolicy(ctx context.Context, domain string) (policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	url := "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return policy{}, err
	}
	request.Header.Set("User-Agent", "ehlogate")
	transport := &http.Transport{
		// Its own context would outlive this fetch.
		DialContext:            func(_ context.Context, _, address string) (net.Conn, error) { return g.connect(ctx, address) },
		TLSClientConfig:        &tls.Config{RootCAs: g.roots, MinVersion: tls.VersionTLS12, Time: g.now},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxPolicy,
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return policy{}, inTime(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		to := ""
		if l := response.Header.Get("Location"); l != "" {
			to = fmt.Sprintf(" and leads to %.200q, which senders must not follow", l)
		}
		return policy{}, fmt.Errorf("%s answers %.100q%s", url, response.Status, to)
	}
	of := response.Header.Get("Content-Type")
	if media, _, _ := mime.ParseMediaType(of); media != "text/plain" { // parameters are ignored, wrong ones, too
		return policy{}, fmt.Errorf("%s has the media type %.100q and not text/plain", url, of)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPolicy+1))
	if err != nil {
		return policy{}, fmt.Errorf("%s: %w", url, inTime(ctx, err))
	}
	if len(text) > maxPolicy {
		return policy{}, fmt.Errorf("%s has more than %d bytes", url, maxPolicy)
	}
	p, err := parsePolicy(text)
	if err != nil {
		return policy{}, fmt.Errorf("%s: %w", url, err)
	}
	return p, nil
}

// inTime says so if err is merely what became of a time that was over.
func inTime(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("it takes longer than %s: %w", fetchTime, ctx.Err())
	}
	return err
}

const (
	dialTime = 10 * time.Second // of one address
	maxAddrs = 8                // of a policy host
)

// connect opens a connection that ends with ctx to HOST:PORT.
func (g *Monitor) connect(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := g.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		var conn net.Conn
		once, cancel := context.WithTimeout(ctx, dialTime)
		conn, err = g.dial(once, "tcp", net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
			return conn, nil
		}
	}
	return nil, err
}

// addresses gives those of a host, of either family: one of them is enough.
func (g *Monitor) addresses(ctx context.Context, host string) (found []netip.Addr, err error) {
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, askErr := g.ask.Query(ctx, host, qtype)
		if askErr != nil {
			err = askErr
		}
		for _, rr := range a.Records {
			var ip net.IP
			switch rr := rr.(type) {
			case *dns.A:
				ip = rr.A
			case *dns.AAAA:
				ip = rr.AAAA
			}
			if addr, ok := netip.AddrFromSlice(ip); ok {
				found = append(found, addr.Unmap())
			}
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("%s has no address", host)
}
