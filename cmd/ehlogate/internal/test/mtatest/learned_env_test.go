package mtatest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/fallback"
	"ehlogate/lists/test/testenv"
)

// The addresses of the mail server and of its clients: none of loopback or a private network, of which nothing is learned, and
// no two clients in one network, where one that completes TLS makes the others immune for a while.
const (
	learnedServer  = "198.51.100.25"
	brokenClient   = "203.0.113.7"
	hopelessClient = "192.0.2.8"
	anotherClient  = "198.18.0.9"
)

// learnedConfig has small numbers, so that what takes an hour on a real server takes seconds. In it, DIR is the directory and
// LOG the log of the mail server.
const learnedConfig = `
[listen]
memcache = ["127.0.0.1:10046"]
socketmap = ["127.0.0.1:10041"]
tcp_table = ["127.0.0.1:10042"]
http = ["DIR/http.sock"]
[guard]
off = true
[logs]
files = ["LOG"]
state = "DIR/logs.json"
[learn]
state = "DIR/learned.db"
[fallback]
spacing = "1s"
span = "2s"
observe_for = "1s"
probe_sessions = 4
watch = []
`

// learnedSuppress and learnedLegacy are lists that learn.
const (
	learnedSuppress = "[[list]]\nname = \"broken-tls\"\nlearn = \"fallback\"\naction = \"suppress\"\nmode = \"enforce\"\n"
	learnedLegacy   = "[[list]]\nname = \"old-tls\"\nlearn = \"fallback\"\naction = \"legacy\"\nmode = \"enforce\"\n"
)

// learnedSite is a mail server with an ehlogate that learns from its log, and a network with its clients.
type learnedSite struct {
	*testing.T
	server, clients *netns.Namespace
	mta             learnedMTA
	daemon          *mtatest.Daemon
	dir             string
	log             *mtatest.Log
	passed          time.Duration // by how much the clock of writeLine is fast
	noted           int64         // the second in which ehlogate took note of the last attempt
	rows            []storyRow
}

// learnedMTA is a mail server of these tests.
type learnedMTA struct {
	log       *mtatest.Log
	awaitEnds func(t *testing.T) // waits until the log has the ends of all sessions
	awaitMail func(ctx context.Context, re *regexp.Regexp) (string, error)
	// hasProbes reports whether it asks ehlogate which versions a client is served, so that ehlogate can probe that.
	hasProbes bool
	// awaitOldTLS waits until a client is served old TLS, or not; nil: that is so at once.
	awaitOldTLS func(s *learnedSite, client string, is bool)
	// breakCertificate puts a certificate in place that is not that of the key.
	breakCertificate func(t *testing.T)
}

// newLearnedSite starts a mail server by start, and ehlogate with lists that learn.
func newLearnedSite(t *testing.T, start func(s *learnedSite) learnedMTA, lists string) *learnedSite {
	t.Helper()
	s := &learnedSite{T: t, dir: tempDir(t)}
	s.joinNetworks()
	s.mta = start(s)
	s.log = s.mta.log
	config := replaceAll(learnedConfig+lists, "DIR", s.dir, "LOG", s.log.Path())
	s.daemon = mtatest.StartFixture(t, mtatest.Fixture{Dir: s.dir, Config: config, Race: testenv.RacePrograms, Network: s.server,
		Ready: mtatest.ReadyDial("127.0.0.1:10046", "127.0.0.1:10041", "127.0.0.1:10042", s.dir+"/http.sock")})
	s.awaitTrue("the lists take effect", func() bool {
		saved, err := os.ReadFile(filepath.Join(s.dir, "logs.json"))
		return err == nil && len(saved) > 0 && s.health().Enforces
	})
	s.writeLine(0)
	return s
}

// joinNetworks joins the network of the server and that of the clients.
func (s *learnedSite) joinNetworks() {
	s.Helper()
	for _, n := range []**netns.Namespace{&s.server, &s.clients} {
		ns, err := netns.New()
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { ns.Close() })
		*n = ns
	}
	if err := netns.Link(s.Context(), s.server, "eth0", s.clients, "eth0"); err != nil {
		s.Fatal(err)
	}
	server, clients := "addr add "+learnedServer+"/24 dev eth0\n", "route add "+learnedServer+" dev eth0\n"
	for _, addr := range []string{brokenClient, hopelessClient, anotherClient} {
		server += "route add " + addr + " dev eth0\n"
		clients += "addr add " + addr + "/24 dev eth0\n"
	}
	for n, text := range map[*netns.Namespace]string{s.server: server, s.clients: clients} {
		if _, err := n.Pipe(s.Context(), text, "ip", "-batch", "-"); err != nil {
			s.Fatal(err)
		}
	}
}

// passTime has ehlogate take the sessions that ended as over. It does so a minute after their end, since before that it does
// not know which clients are scanners, and ten minutes after the last line if the log has no end, as that of Exim. A line of
// another host, which belongs to no session, moves the time of the log as far; each session keeps its own times.
func (s *learnedSite) passTime() {
	s.Helper()
	s.mta.awaitEnds(s.T)
	before := s.health().Followed // what is counted each second has been counted
	s.awaitTrue("a second passes", func() bool { return s.health().Followed >= before+1 })
	s.writeLine(12 * time.Minute)
}

// writeLine appends a line of another host, whose clock is so much later than at the line before it.
func (s *learnedSite) writeLine(later time.Duration) {
	s.Helper()
	s.passed += later
	f, err := os.OpenFile(s.log.Path(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	at := time.Now().Add(s.passed).UTC().Format("2006-01-02T15:04:05-07:00")
	if _, err = fmt.Fprintf(f, "%s relay postfix/smtpd[7]: warning: hostname mx.example.net does not resolve to address 192.0.2.1\n", at); err != nil {
		s.Fatal(err)
	}
}

// awaitSpacing waits until another failure counts.
func (s *learnedSite) awaitSpacing() {
	s.Helper()
	before := s.health().Followed
	s.awaitTrue("the next failure counts", func() bool { return s.health().Followed >= before+2 })
}

// awaitTrue waits for a condition.
func (s *learnedSite) awaitTrue(what string, holds func() bool) {
	s.Helper()
	if err := testenv.Await(soon(s.T), func() (bool, error) { return holds(), nil }); err != nil {
		s.Fatalf("waiting until %s: %v\n%s\n%s\n%+v", what, err, s.daemon.Log.Tail(20), s.log.Tail(30), s.known(brokenClient))
	}
}

// getJSON queries ehlogate.
func (s *learnedSite) getJSON(path string, reply any) {
	s.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.dir+"/http.sock")
	}}}
	r, err := client.Get("http://localhost" + path)
	if err != nil {
		s.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(reply); err != nil {
		s.Fatalf("%s: %v", path, err)
	}
}

// siteHealth is what /healthz says of lists that learn.
type siteHealth struct {
	Breaker  string
	Enforces bool
	Followed float64 `json:"followed_seconds"`
	Entries  int     `json:"fallback_entries"`
}

func (s *learnedSite) health() siteHealth {
	s.Helper()
	var h struct{ Learned siteHealth }
	s.getJSON("/healthz", &h)
	return h.Learned
}

// known returns what ehlogate knows of a client.
func (s *learnedSite) known(addr string) fallback.ClientReport {
	s.Helper()
	var r struct{ Fallback fallback.ClientReport }
	s.getJSON("/api/v1/learned/"+addr, &r)
	return r.Fallback
}
