package mtatest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists/test/dnstest"
)

// authority is a certification authority in which the tests trust.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string // with its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool(), file: filepath.Join(tempDir(t), "ca.pem")}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "mtatest"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	issued := a.issue(t, template)
	a.cert, a.key = issued.Leaf, issued.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	writePEM(t, a.file, "CERTIFICATE", a.cert.Raw)
	return a
}

// issue signs a certificate, the first by its own key.
func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(mathrand.Int64())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// server issues one for the hosts, and writes it and its key as files if there is a folder for them.
func (a *authority) server(t *testing.T, dir string, hosts ...string) tls.Certificate {
	t.Helper()
	c := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if dir != "" {
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, filepath.Join(dir, "mx.pem"), "CERTIFICATE", c.Certificate[0])
		writePEM(t, filepath.Join(dir, "mx.key"), "PRIVATE KEY", key)
	}
	return c
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}

// promise is what a domain promises, and what ehlogate finds out about that.
type promise struct {
	name, domain string
	mode         string // of its MTA-STS policy; "": it has none
	tlsa         bool
	fails        bool // from when senders know of it on, no check of it succeeds
	withdrawn    bool // it is taken back once senders and ehlogate know of it; senders go by it all the same
}

const promisedZone = "safety.test"

var promises = []promise{
	{name: "none", domain: "none.safety.test"},
	{name: "MTA-STS testing", domain: "testing.safety.test", mode: "testing"},
	{name: "MTA-STS enforce", domain: "enforce.safety.test", mode: "enforce"},
	{name: "TLSA", domain: "tlsa.safety.test", tlsa: true},
	{name: "MTA-STS, withdrawn", domain: "was-enforce.safety.test", mode: "enforce", withdrawn: true},
	{name: "TLSA, withdrawn", domain: "was-tlsa.safety.test", tlsa: true, withdrawn: true},
	{name: "both, check failed", domain: "failed.safety.test", mode: "enforce", tlsa: true, fails: true},
}

func (p promise) mx() string { return "mx." + p.domain }

// isMade reports whether senders that rely on promises of this kind need STARTTLS.
func (p promise) isMade() bool { return p.mode == "enforce" || p.tlsa }

// withdraw takes a promise back, at all servers that tell of it.
func (p promise) withdraw(t *testing.T, from *dnstest.Zone) {
	t.Helper()
	for _, name := range []string{"_mta-sts." + p.domain, "mta-sts." + p.domain, "_25._tcp." + p.mx()} {
		from.Remove(t, name+".")
	}
}

// publish publishes all promises: a signed zone behind unbound, and policies on a web server; mx is the certificate of the
// mail server. The zone of lists is there, too.
func publish(t *testing.T, ca *authority, mx tls.Certificate, lists ...dnstest.Dataset) (*dnstest.Zone, *dnstest.Server, *dnstest.Unbound) {
	t.Helper()
	web := servePolicies(t, ca)
	spki := sha256.Sum256(mx.Leaf.RawSubjectPublicKeyInfo)
	var zone strings.Builder
	for _, p := range promises {
		fmt.Fprintf(&zone, "%s. MX 10 %s.\n%[2]s. A 127.0.0.1\n", p.domain, p.mx())
		if p.mode != "" {
			fmt.Fprintf(&zone, "_mta-sts.%s. TXT \"v=STSv1; id=1;\"\nmta-sts.%[1]s. A %s\n", p.domain, web)
		}
		if p.tlsa {
			fmt.Fprintf(&zone, "_25._tcp.%s. TLSA 3 1 1 %s\n", p.mx(), hex.EncodeToString(spki[:]))
		}
	}
	promised := dnstest.NewSignedZone(t, promisedZone, zone.String())
	signed := dnstest.StartServer(t, promised)
	return promised, signed, dnstest.StartUnbound(t, append(signed.Upstreams(), dnstest.StartRbldnsd(t, lists...).Upstreams()...)...)
}

// servePolicies serves the policies by HTTPS on an address of this machine's own, since no sender asks at any port but 443.
func servePolicies(t *testing.T, ca *authority) (at netip.Addr) {
	t.Helper()
	var l net.Listener
	for try := 0; ; try++ {
		at = netip.AddrFrom4([4]byte{127, byte(64 + mathrand.IntN(64)), byte(mathrand.IntN(256)), byte(1 + mathrand.IntN(254))})
		var err error
		if l, err = net.Listen("tcp", netip.AddrPortFrom(at, 443).String()); err == nil {
			break
		} else if try == 10 {
			t.Fatalf("listening on port 443, for which the tests must run as root: %v", err)
		}
	}
	policies, hosts := map[string]string{}, []string{}
	for _, p := range promises {
		host := "mta-sts." + p.domain
		hosts = append(hosts, host)
		if p.mode != "" {
			policies[host] = fmt.Sprintf("version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: 86400\r\n", p.mode, p.mx())
		}
	}
	server := &http.Server{
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{ca.server(t, "", hosts...)}},
		ReadTimeout: patience, WriteTimeout: patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			policy, ok := policies[r.Host]
			if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, policy)
		}),
	}
	done := make(chan struct{})
	go func() { defer close(done); server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { server.Close(); <-done })
	return at
}

// known is what a sender knows of a promise that was made to it.
type known struct {
	mode string // of the MTA-STS policy; "": there is none
	tlsa []*dns.TLSA
}

// discover finds out what is promised, as senders do: RFC 8461 section 3, and RFC 7672 section 2.2.
func discover(t *testing.T, p promise, resolver netip.AddrPort, ca *authority) (k known) {
	t.Helper()
	ask := func(name string, qtype uint16) *dns.Msg {
		t.Helper()
		m := new(dns.Msg).SetQuestion(name+".", qtype)
		m.AuthenticatedData = true
		answer, _, err := (&dns.Client{Timeout: patience}).Exchange(m, resolver.String())
		if err != nil || answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
			t.Fatalf("%s: %v, %v", name, answer, err)
		}
		return answer
	}
	if answer := ask("_25._tcp."+p.mx(), dns.TypeTLSA); answer.AuthenticatedData {
		for _, rr := range answer.Answer {
			if r, ok := rr.(*dns.TLSA); ok {
				k.tlsa = append(k.tlsa, r)
			}
		}
	}
	if len(ask("_mta-sts."+p.domain, dns.TypeTXT).Answer) == 0 {
		return k
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.pool},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			a, ok := ask(host, dns.TypeA).Answer[0].(*dns.A)
			if !ok {
				return nil, fmt.Errorf("no address of %s", host)
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(a.A.String(), port))
		},
	}}
	resp, err := client.Get("https://mta-sts." + p.domain + "/.well-known/mta-sts.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?m)^mode: (\w+)\r$`).FindSubmatch(text); m != nil {
		k.mode = string(m[1])
	}
	return k
}
