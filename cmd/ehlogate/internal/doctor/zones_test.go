package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"
	"go.uber.org/goleak"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/dnsclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dnsServer answers on loopback from its zones.
type dnsServer struct {
	addr  netip.AddrPort
	asked atomic.Int64
}

// zone returns addresses, or a failure, for a name in it.
type zone func(name string) (addrs string, rcode int)

func serveDNS(t *testing.T, zones map[string]zone) *dnsServer {
	t.Helper()
	pc, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dnsServer{addr: netip.MustParseAddrPort(pc.LocalAddr().String())}
	server := &mdns.Server{PacketConn: pc, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		s.asked.Add(1)
		if err := w.WriteMsg(answer(q, zones)); err != nil {
			t.Error(err)
		}
	})}
	ended, started := make(chan error), make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func answer(q *mdns.Msg, zones map[string]zone) *mdns.Msg {
	reply := new(mdns.Msg).SetRcode(q, mdns.RcodeNameError)
	full := q.Question[0].Name
	for name, z := range zones {
		below, ok := strings.CutSuffix(full, "."+name+".")
		if !ok {
			continue
		}
		addrs, rcode := z(below)
		if reply.Rcode = rcode; rcode == mdns.RcodeSuccess && addrs == "" {
			reply.Rcode = mdns.RcodeNameError
		}
		for a := range strings.FieldsSeq(addrs) {
			reply.Answer = append(reply.Answer, &mdns.A{Hdr: mdns.RR_Header{Name: full, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 60}, A: net.ParseIP(a)})
		}
	}
	return reply
}

// listing is a zone that lists these names.
func listing(names ...string) zone {
	return func(name string) (string, int) {
		if slices.Contains(names, name) {
			return "127.0.0.2 127.0.0.4", mdns.RcodeSuccess
		}
		return "", mdns.RcodeSuccess
	}
}

// always is a zone with one answer for all names.
func always(addrs string, rcode int) zone { return func(string) (string, int) { return addrs, rcode } }

// asks returns a config with these resolvers and lists.
func asks(t *testing.T, resolvers []netip.AddrPort, lists string) *config.Config {
	t.Helper()
	var quotedAddrs []string
	for _, r := range resolvers {
		quotedAddrs = append(quotedAddrs, fmt.Sprintf("%q", r))
	}
	name := filepath.Join(t.TempDir(), "ehlogate.toml")
	text := "[dns]\ntimeout = \"50ms\"\nresolvers = [" + strings.Join(quotedAddrs, ", ") + "]\n" + lists
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func list1(zones ...string) string {
	text := "[[list]]\nname = \"l\"\naction = \"offer\"\nzones = ["
	for _, z := range zones {
		text += "{zone = " + z + "},"
	}
	return text + "]\n"
}

// texts returns the IDs of a report, with what is wrong.
func texts(r *Report) (out []string) {
	for _, f := range r.Findings {
		out = append(out, f.ID+": "+f.What)
	}
	return out
}

// The test entries of a zone, on a real server.
func TestZones(t *testing.T) {
	for name, tc := range map[string]struct {
		config string // of the zone z.example
		zone   zone
		want   string // how the finding begins
	}{
		"good":           {"", listing("2.0.0.127"), ""},
		"no test entry":  {"", listing(), "zone-lists-nothing: z.example does not list 127.0.0.2"},
		"all":            {"", always("127.0.0.2", 0), "zone-lists-all: z.example lists 127.0.0.1 (127.0.0.2)"},
		"all but cached": {"", func(n string) (string, int) { return map[bool]string{false: "127.0.0.9"}[n == "1.0.0.127"], 0 }, "zone-lists-all: z.example lists a made-up address (127.0.0.9)"},
		"public":         {"", always("127.255.255.254", 0), "zone-refuses: z.example answers with an error code, 127.255.255.254: it is queried through a public resolver"},
		"too often":      {"", always("127.255.255.255", 0), "zone-refuses: z.example answers with an error code, 127.255.255.255: it is queried too often"},
		"misspelt":       {"", always("127.255.255.252", 0), "zone-refuses: z.example answers with an error code, 127.255.255.252: the name of the zone is misspelled"},
		"another code":   {"", always("127.255.255.0", 0), "zone-refuses: z.example answers with an error code, 127.255.255.0: the query is refused"},
		"refuses":        {"", always("127.0.0.255", 0), "zone-refuses: z.example answers with an error code, 127.0.0.255: the query is refused"},
		"highest score":  {`, answer = "127.0.0.N"`, func(n string) (string, int) { return map[bool]string{true: "127.0.0.255"}[n == "2.0.0.127"], 0 }, ""},
		"parked":         {"", always("192.0.2.80", 0), "zone-no-list: z.example answers 192.0.2.80"},
		"parked in part": {"", always("127.0.0.2 192.0.2.80", 0), "zone-no-list: z.example answers 192.0.2.80"},
		"down":           {"", always("", mdns.RcodeServerFailure), "zone-silent: z.example does not answer (servfail)"},
		"refused":        {"", always("", mdns.RcodeRefused), "zone-silent: z.example does not answer (refused)"},
		"names":          {`, by = "name"`, listing("test"), ""},
		"no names":       {`, by = "name"`, listing("2.0.0.127"), "zone-lists-nothing: z.example does not list TEST"},
		"all names":      {`, by = "name"`, listing("test", "invalid"), "zone-lists-all: z.example lists INVALID"},
		"untested":       {`, health_check = false`, listing(), ""},
		"untested, all":  {`, health_check = false`, always("127.0.0.2", 0), ""},
		"untested, code": {`, health_check = false`, always("127.255.255.254", 0), "zone-refuses: "},
		"untested, down": {`, health_check = false`, always("", mdns.RcodeServerFailure), "zone-silent: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveDNS(t, map[string]zone{"z.example": tc.zone, "good.example": listing("2.0.0.127", "test")})
			cfg := asks(t, []netip.AddrPort{s.addr}, list1(`"z.example"`+tc.config, `"good.example"`, `"good.example", by = "name"`))
			got := texts(Examine(t.Context(), askingHost(), cfg, nil, nil, nil))
			if tc.want == "" && len(got) > 0 || tc.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// askingHost is this machine, whatever systemd it has.
func askingHost() *Host {
	h := ThisHost(true)
	h.Unit = func() (string, error) { return "", nil }
	return h
}

// Resolvers that do not answer, and that are unreachable.
func TestResolvers(t *testing.T) {
	s := serveDNS(t, map[string]zone{"z.example": listing()})
	mute, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	gone, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	at := func(pc net.PacketConn) netip.AddrPort { return netip.MustParseAddrPort(pc.LocalAddr().String()) }
	cfg := asks(t, []netip.AddrPort{at(mute), s.addr, at(gone)}, list1(`"z.example"`))
	want := []string{
		"resolver-silent: resolver " + at(mute).String() + " does not answer: timeout",
		"resolver-silent: resolver " + at(gone).String() + " does not answer: unreachable",
		"zone-lists-nothing: z.example does not list 127.0.0.2, as every list does (RFC 5782 section 5)",
	}
	if got := texts(Examine(t.Context(), askingHost(), cfg, nil, nil, nil)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// If none answers, there are no findings about zones.
	cfg.DNS.Resolvers = []netip.AddrPort{at(mute), at(gone)}
	if got := texts(Examine(t.Context(), askingHost(), cfg, nil, nil, nil)); !slices.Equal(got, want[:2]) {
		t.Errorf("got %q, want %q", got, want[:2])
	}
}

// No resolver is queried with --no-connect, for another machine, or without need.
func TestQueriesOnlyIfNeeded(t *testing.T) {
	s := serveDNS(t, map[string]zone{"z.example": listing()})
	for name, tc := range map[string]struct {
		host *Host
		list string
		want int
	}{
		"asks":       {askingHost(), list1(`"z.example"`), 5}, // the resolver, and four names
		"no-connect": {ThisHost(false), list1(`"z.example"`), 0},
		"saved":      {SavedHost(t.TempDir()), list1(`"z.example"`), 0},
		"needless":   {askingHost(), "", 0},
	} {
		before := s.asked.Load()
		Examine(t.Context(), tc.host, asks(t, []netip.AddrPort{s.addr}, tc.list), nil, nil, nil)
		if got := int(s.asked.Load() - before); got != tc.want {
			t.Errorf("%s: %d queries, want %d", name, got, tc.want)
		}
	}
}

type stuck struct{}

func (stuck) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	<-ctx.Done()
	return dnsclient.Answer{}, &dnsclient.Error{Kind: dnsclient.Timeout, Name: name, Type: qtype, Err: ctx.Err()}
}

// All queries together have a time limit.
func TestAskingEnds(t *testing.T) {
	var zones []string
	for i := range 20 {
		zones = append(zones, fmt.Sprintf(`"z%d.example"`, i))
	}
	local := netip.MustParseAddrPort("127.0.0.1:53")
	cfg := asks(t, []netip.AddrPort{local, local, local}, list1(zones...))
	synctest.Test(t, func(t *testing.T) {
		host := askingHost()
		host.Resolver = func(dnsclient.Options) dnsclient.Resolver { return stuck{} }
		start := time.Now()
		r := Examine(t.Context(), host, cfg, nil, nil, nil)
		if took := time.Since(start); took != dnsLimit || len(r.Findings) != 1 || r.Findings[0].ID != "resolver-silent" {
			t.Errorf("took %v: %q", took, texts(r))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start = time.Now()
		if Examine(ctx, host, cfg, nil, nil, nil); time.Since(start) != 0 {
			t.Error("it runs on after its context ended")
		}
	})
}
