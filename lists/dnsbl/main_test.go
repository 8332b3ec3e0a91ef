package dnsbl

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/listtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a resolver that says what a test has written into it.
type book struct {
	mu       sync.Mutex
	records  map[string][]string       // by "name TYPE"; "*.zone TYPE" for all others below
	failing  map[string]dnsclient.Kind // by zone
	ttl      time.Duration
	negative time.Duration
	delay    time.Duration
	stuck    bool // until the context ends

	asked    map[string]int // by "name TYPE"
	inFlight int
	most     int // in flight at once
}

func newBook() *book {
	return &book{records: make(map[string][]string), failing: make(map[string]dnsclient.Kind), asked: make(map[string]int),
		ttl: 10 * time.Minute, negative: 5 * time.Minute}
}

func (b *book) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	b.mu.Lock()
	b.asked[name+" "+dns.TypeToString[qtype]]++
	b.inFlight++
	b.most = max(b.most, b.inFlight)
	delay, stuck := b.delay, b.stuck
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.inFlight--
		b.mu.Unlock()
	}()
	fail := func(k dnsclient.Kind) (dnsclient.Answer, error) {
		return dnsclient.Answer{}, &dnsclient.Error{Kind: k, Name: name, Type: qtype, Server: netip.MustParseAddrPort("127.0.0.1:53")}
	}
	if stuck {
		<-ctx.Done()
		return fail(dnsclient.Timeout)
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return fail(dnsclient.Timeout)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for zone, kind := range b.failing {
		if name == zone || zone == "" || strings.HasSuffix(name, "."+zone) {
			return fail(kind)
		}
	}
	data, ok := b.records[name+" "+dns.TypeToString[qtype]]
	for rest := name; !ok; {
		var more bool
		if _, rest, more = strings.Cut(rest, "."); !more {
			break
		}
		data, ok = b.records["*."+rest+" "+dns.TypeToString[qtype]]
	}
	if len(data) == 0 {
		return dnsclient.Answer{TTL: b.negative}, nil
	}
	a := dnsclient.Answer{TTL: b.ttl}
	for _, d := range data {
		rr, err := dns.NewRR(fmt.Sprintf("%s 1 %s %s", dns.Fqdn(name), dns.TypeToString[qtype], d))
		if err != nil {
			panic(err)
		}
		a.Records = append(a.Records, rr)
	}
	return a, nil
}

// set says what there is at a name, as in "2.0.0.127.list.example A".
func (b *book) set(question string, data ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records[question] = data; data == nil {
		delete(b.records, question)
	}
}

// list writes a zone with its test entry, and what it says of addresses.
func (b *book) list(zone string, entries map[string]string) {
	b.set("2.0.0.127."+zone+" A", "127.0.0.2")
	for who, what := range entries {
		name := who
		if a, err := netip.ParseAddr(who); err == nil {
			name = reverse(a)
		}
		b.set(name+"."+zone+" A", strings.Fields(what)...)
	}
}

func (b *book) do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// fail lets questions below a zone fail; "" is for all.
func (b *book) fail(zone string, k dnsclient.Kind) { b.do(func() { b.failing[zone] = k }) }

// mend lets them be answered again.
func (b *book) mend() { b.do(func() { clear(b.failing); b.stuck, b.delay = false, 0 }) }

// count is how often a question was asked.
func (b *book) count(question string) (n int) {
	b.do(func() { n = b.asked[question] })
	return n
}

func (b *book) questions() (all map[string]int) {
	b.do(func() { all = maps.Clone(b.asked) })
	return all
}

// lines keeps what is logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Levels() []logrus.Level { return logrus.AllLevels }

func (l *lines) Fire(e *logrus.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e.Level.String()+" "+e.Message)
	return nil
}

func (l *lines) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func (l *lines) has(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := strings.Join(l.all, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("logged:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	l.all = nil
}

func newLog() (*logrus.Logger, *lines) {
	log, hook := logrus.New(), new(lines)
	log.SetOutput(io.Discard)
	log.AddHook(hook)
	return log, hook
}

// world is a service that asks a book, in a bubble of its own time.
type world struct {
	*testing.T
	*book
	*Client
	log  *lines
	stop func() // Run, and wait until it has returned
}

// start makes one; it runs once go is called.
func start(t *testing.T, cfg Options) *world {
	w := &world{T: t, book: newBook()}
	log, hook := newLog()
	w.log = hook
	w.Client = New(cfg, w.book, time.Now, log)
	w.stop = func() {}
	return w
}

// run lets the service run, and the first self-tests be over.
func (w *world) run() {
	w.stop = w.begin()
	synctest.Wait()
}

func (w *world) begin() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Client.Run(ctx) }()
	stop = func() { cancel(); <-done }
	w.Cleanup(stop)
	return stop
}

// bubble runs a test in a bubble.
func bubble(t *testing.T, cfg Options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(start(t, cfg)) })
}

func at(addr string) lists.Client { return lists.Client{Addr: netip.MustParseAddr(addr)} }

// now asks without a wait.
func (w *world) now(s *List, c lists.Client) lists.Status { return s.Lookup(c).Status }

// within asks with a wait.
func (w *world) within(d time.Duration, s *List, c lists.Client) lists.Status {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return listtest.Lookup(ctx, s, c).Status
}

// want asks without a wait.
func (w *world) want(s *List, addr string, want lists.Status) {
	w.Helper()
	if got := w.now(s, at(addr)); got != want {
		w.Errorf("%s is %s, want %s", addr, word(got), word(want))
	}
}

// learn asks with a wait.
func (w *world) learn(s *List, addr string, want lists.Status) {
	w.Helper()
	if got := w.within(300*time.Millisecond, s, at(addr)); got != want {
		w.Errorf("%s is %s after a wait, want %s", addr, word(got), word(want))
	}
}

func word(s lists.Status) string {
	return [...]string{"absent", "held", "excepted", "unavailable", "pending"}[s]
}

// one is a list of one zone.
func (w *world) one(zone string) *List {
	return w.List(Spec{Zones: []Zone{{Name: zone, Weight: 1}}, Threshold: 1})
}

func (w *world) zone(name string) UpstreamStats {
	for _, z := range w.Stats().Zones {
		if z.Zone == name {
			return z
		}
	}
	w.Fatalf("no zone %s", name)
	return UpstreamStats{}
}
