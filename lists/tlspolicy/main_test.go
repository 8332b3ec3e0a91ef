package tlspolicy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"ehlogate/lists/dnsclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustSucceed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// base is when the tests begin.
var base = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) currentTime() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// resolver has answers, and no records of all other names.
type resolver struct {
	mu      sync.Mutex
	answers map[string]dnsclient.Answer
	broken  map[string]bool
	queries map[string]int
}

var _ dnsclient.Resolver = (*resolver)(nil)

func newResolver() *resolver {
	return &resolver{answers: make(map[string]dnsclient.Answer), broken: make(map[string]bool), queries: make(map[string]int)}
}

func question(name string, qtype uint16) string {
	return strings.TrimSuffix(name, ".") + " " + dns.TypeToString[qtype]
}

func (r *resolver) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := question(name, qtype)
	r.queries[q]++
	if r.broken[q] || ctx.Err() != nil {
		return dnsclient.Answer{}, &dnsclient.Error{Kind: dnsclient.ServFail, Name: name, Type: qtype}
	}
	return r.answers[q], nil
}

// setAnswer sets the answer to a query, such as "example.org MX": records without their name, TTL and type, or none.
func (r *resolver) setAnswer(q string, records ...string) {
	name, qtype, _ := strings.Cut(q, " ")
	a := dnsclient.Answer{TTL: time.Hour, Server: netip.MustParseAddrPort("127.0.0.1:53")}
	for _, record := range records {
		rr, err := dns.NewRR(fmt.Sprintf("%s. 3600 IN %s %s", name, qtype, record))
		if err != nil || rr == nil {
			panic(fmt.Sprintf("%q: %v", record, err))
		}
		a.Records = append(a.Records, rr)
	}
	r.changeAnswer(q, func(old *dnsclient.Answer) { *old = a })
}

// changeAnswer changes an answer, which is no failure then.
func (r *resolver) changeAnswer(q string, f func(*dnsclient.Answer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.answers[q]
	f(&a)
	r.answers[q] = a
	delete(r.broken, q)
}

// secure sets the AD bit of an answer.
func (r *resolver) secure(q string) {
	r.changeAnswer(q, func(a *dnsclient.Answer) { a.Authentic = true })
}

// failQueries makes queries fail until they are set again.
func (r *resolver) failQueries(questions ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range questions {
		r.broken[q] = true
	}
}

func (r *resolver) times(q string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queries[q]
}

// quiet is for the log lines of servers about clients that hang up.
var quiet = log.New(io.Discard, "", 0)

const tlsa = "3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// authority is a certificate authority for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	mustSucceed(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"},
		NotBefore: base.AddDate(-20, 0, 0), NotAfter: base.AddDate(20, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	mustSucceed(t, err)
	cert, err := x509.ParseCertificate(der)
	mustSucceed(t, err)
	return &authority{cert, key}
}

func (a *authority) certPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) certificate(t testing.TB, until time.Time, names ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	mustSucceed(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: base.AddDate(-20, 0, 0), NotAfter: until, DNSNames: names,
		Subject: pkix.Name{CommonName: names[0]}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	mustSucceed(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// world is a domain, example.org, its DNS and policy host, and a Monitor.
type world struct {
	t     *testing.T
	clock *clock
	dns   *resolver
	web   *httptest.Server
	roots *x509.CertPool
	lines recorder
	cfg   Options
	*Monitor

	mu     sync.Mutex
	served string // the policy; "": none
}

const (
	domainName = "example.org"
	hostName   = "mta-sts.example.org"
)

// newWorld returns a world with a policy host on loopback, which Dial finds at 192.0.2.1, port 443, alone.
func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: &clock{now: base}, dns: newResolver()}
	w.cfg = Options{Domains: []string{domainName}, Local: true}
	ca := newAuthority(t)
	w.roots = ca.certPool()
	w.web = httptest.NewUnstartedServer(http.HandlerFunc(w.serve))
	w.web.Config.ErrorLog = quiet
	w.web.TLS = &tls.Config{Certificates: []tls.Certificate{ca.certificate(t, base.AddDate(10, 0, 0), hostName)}}
	w.web.StartTLS()
	t.Cleanup(w.web.Close)
	w.dns.setAnswer(hostName+" A", "192.0.2.1")
	w.start()
	return w
}

// start is a start of the process.
func (w *world) start() {
	cfg := w.cfg
	cfg.Roots, cfg.Dial, cfg.Notify = w.roots, w.dialPolicyHost, w.lines.notify
	w.Monitor = New(cfg, w.dns, w.clock.currentTime)
}

func (w *world) dialPolicyHost(ctx context.Context, network, address string) (net.Conn, error) {
	if address != "192.0.2.1:443" {
		return nil, fmt.Errorf("no host at %s", address)
	}
	return new(net.Dialer).DialContext(ctx, network, w.web.Listener.Addr().String())
}

func (w *world) serve(out http.ResponseWriter, in *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if in.Method != http.MethodGet || in.Host != hostName || in.URL.Path != "/.well-known/mta-sts.txt" || w.served == "" {
		http.NotFound(out, in)
		return
	}
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(out, w.served)
}

// publish sets the record, with that id, and the policy; "": none.
func (w *world) publish(id, policy string) {
	if id == "" {
		w.dns.setAnswer("_mta-sts." + domainName + " TXT")
	} else {
		w.dns.setAnswer("_mta-sts."+domainName+" TXT", fmt.Sprintf(`"v=STSv1; id=%s;"`, id))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.served = policy
}

// domain checks once and returns what is known then.
func (w *world) domain() Domain {
	w.t.Helper()
	w.Check(w.t.Context())
	return w.Report().Domains[0]
}

// recorder keeps the events that it is notified of.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) notify(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) recorded() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// describe returns all of an event but its error.
func describe(e Event) string {
	s := string(e.Kind) + ":"
	for _, part := range []string{e.Domain, e.Mechanism, string(e.State), string(e.Commitment), e.File} {
		if part != "" {
			s += " " + part
		}
	}
	if !e.Since.IsZero() {
		s += " since " + e.Since.Format(time.RFC3339)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// reported returns the events since the last call.
func (w *world) reported() (events []string) {
	for _, e := range w.lines.recorded() {
		events = append(events, describe(e))
	}
	w.lines.reset()
	return events
}

// enforce is a policy in mode enforce.
func enforce(maxAge time.Duration) string { return policyText("enforce", maxAge) }

func policyText(mode string, maxAge time.Duration) string {
	return fmt.Sprintf("version: STSv1\r\nmode: %s\r\nmx: mail.example.org\r\nmax_age: %d\r\n", mode, int(maxAge/time.Second))
}
