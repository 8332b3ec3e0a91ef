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

// discoverPolicy looks for the MTA-STS policy of a domain (RFC 8461 section 3). An error means that it is not known
// whether there is one; if the finding has an id, one is announced, and senders may well get it.
//
// cached: senders may have a policy in mode enforce in their caches. They may renew it without a look at the record
// (section 10.2), so it is fetched even if there is no record.
func (m *Monitor) discoverPolicy(ctx context.Context, domain string, cached bool) (finding, error) {
	none := finding{state: None}
	a, err := m.resolver.Query(ctx, "_mta-sts."+domain, dns.TypeTXT)
	if err != nil {
		return none, err
	}
	records := policyRecords(a.Records)
	var id string
	var invalid error // that the only record is
	if len(records) == 1 {
		id, invalid = parseRecord(records[0])
	} else if !cached {
		return none, nil
	}
	p, err := m.fetchPolicy(ctx, domain)
	switch {
	case id != "" && err != nil:
		return finding{id: id}, fmt.Errorf("the record _mta-sts.%s announces a policy that cannot be fetched: %w; serve it, or remove the record", domain, err)
	case id != "":
		return finding{state: p.mode, id: id, maxAge: p.maxAge}, nil
	case err != nil || p.mode != Enforce:
		return none, nil
	case invalid != nil:
		// Senders must ignore such a record; some are not so strict.
		return finding{state: Enforce, maxAge: p.maxAge}, nil
	}
	return finding{state: None, maxAge: p.maxAge, renewed: true}, nil
}

const (
	fetchTimeout = time.Minute // (RFC 8461 section 3.3)
	dialTimeout  = 10 * time.Second
	maxAddresses = 8 // of a policy host
)

// fetchPolicy gets the policy of a domain from its policy host (RFC 8461 section 3.3), on a connection of its own and
// without a proxy.
func (m *Monitor) fetchPolicy(ctx context.Context, domain string) (policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	url := "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return policy{}, err
	}
	request.Header.Set("User-Agent", "ehlogate")
	transport := &http.Transport{
		// Its own context would outlive this fetch.
		DialContext:            func(_ context.Context, _, address string) (net.Conn, error) { return m.connect(ctx, address) },
		TLSClientConfig:        &tls.Config{RootCAs: m.options.Roots, MinVersion: tls.VersionTLS12, Time: m.now},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxPolicySize,
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return policy{}, fetchError(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		redirect := ""
		if l := response.Header.Get("Location"); l != "" {
			redirect = fmt.Sprintf(" and redirects to %.200q, which senders must not follow", l)
		}
		return policy{}, fmt.Errorf("%s answers %.100q%s", url, response.Status, redirect)
	}
	contentType := response.Header.Get("Content-Type")
	if media, _, _ := mime.ParseMediaType(contentType); media != "text/plain" { // parameters are ignored, even invalid ones
		return policy{}, fmt.Errorf("%s has the media type %.100q: must be text/plain", url, contentType)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPolicySize+1))
	if err != nil {
		return policy{}, fmt.Errorf("%s: %w", url, fetchError(ctx, err))
	}
	if len(text) > maxPolicySize {
		return policy{}, fmt.Errorf("%s is larger than %d bytes", url, maxPolicySize)
	}
	p, err := parsePolicy(text)
	if err != nil {
		return policy{}, fmt.Errorf("%s: %w", url, err)
	}
	return p, nil
}

// fetchError returns err, or the timeout that caused it.
func fetchError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("timeout after %s: %w", fetchTimeout, ctx.Err())
	}
	return err
}

// connect opens a connection to HOST:PORT that is closed when ctx ends.
func (m *Monitor) connect(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := m.lookupAddresses(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		var conn net.Conn
		limited, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err = m.options.Dial(limited, "tcp", net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
			return conn, nil
		}
	}
	return nil, err
}

// lookupAddresses returns the addresses of a host. It fails only if there is none of either family.
func (m *Monitor) lookupAddresses(ctx context.Context, host string) (addrs []netip.Addr, err error) {
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, queryErr := m.resolver.Query(ctx, host, qtype)
		if queryErr != nil {
			err = queryErr
		}
		addrs = append(addrs, a.Addrs()...)
	}
	switch {
	case len(addrs) > 0:
		return addrs, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("%s has no address", host)
}
