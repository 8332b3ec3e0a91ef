package mtatest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/test/testenv"
	"ehlogate/lists/tlspolicy"
)

// Clients here have public addresses, since no list is asked about others. No packet is ever sent to them.

// hereList stands before all other lists: XCLIENT has the map asked twice, and first about this machine.
const (
	hereList = "[[list]]\nname = \"here\"\naction = \"offer\"\nfiles = [\"here.list\"]\n\n"
	hereFile = "127.0.0.0/8\n"
)

// mapped is a smtpd that asks the memcache at addr as examples/postfix has it; its backup hides DSN, which tells it from the
// lists of a daemon with explicit_offer.
func mapped(name, addr string) (mtatest.Service, string) {
	param := "eg" + name
	return mtatest.Service{Name: name, Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": "memcache:" + param}},
		fmt.Sprintf(`%[1]s_memcache = inet:%[2]s
%[1]s_key_format = starttls:%%s
%[1]s_backup = cidr:$config_directory/backup.cidr
%[1]s_max_try = 1
%[1]s_timeout = 1
`, param, addr)
}

// backupFiles are the files that mapped needs.
var backupFiles = map[string]string{"backup.cidr": "0.0.0.0/0 dsn\n::/0 dsn\n"}

// greeted is a session of a client at another address, behind its EHLO.
type greeted struct {
	*mtatest.SMTP
	reply mtatest.Reply // to EHLO
	took  time.Duration // from XCLIENT, with which the map is asked, to that reply
}

// greet connects, takes the address of the client, and greets. It fails unless EHLO is answered by 250; a caller that has a session
// closes it.
func greet(ctx context.Context, addr string, client netip.Addr) (g greeted, err error) {
	c, err := mtatest.Dial(ctx, addr, "127.0.0.1")
	if err != nil {
		return g, err
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	must := func(code int, r mtatest.Reply, err error) error {
		if err == nil && r.Code != code {
			err = fmt.Errorf("as %v: %v, not %d", client, r, code)
		}
		return err
	}
	r, err := c.Banner()
	if err = must(220, r, err); err != nil {
		return g, err
	}
	start := time.Now()
	r, err = c.XCLIENT(client)
	if err = must(220, r, err); err != nil {
		return g, err
	}
	r, err = c.EHLO("client.example")
	return greeted{c, r, time.Since(start)}, must(250, r, err)
}

// greetListed is greet, but that the map's backup, which answers by chance if the machine is busy, is not taken for an answer.
func greetListed(ctx context.Context, addr string, client netip.Addr) (g greeted, err error) {
	for {
		if g, err = greet(ctx, addr, client); err != nil || g.reply.Offers("DSN") {
			return g, err
		}
		g.Close()
	}
}

// reputation is what /api/v1/reputation tells.
type reputation struct {
	DNS   state.DNSStats
	Guard tlspolicy.Report
	Limit ratelimit.Stats
}

// zone is the state of a zone that is asked by address.
func (r *reputation) zone(name string) dnsbl.ZoneStats {
	i := slices.IndexFunc(r.DNS.Zones, func(z dnsbl.ZoneStats) bool { return z.Zone.String() == name && !z.ByName })
	if i < 0 {
		return dnsbl.ZoneStats{UpstreamStats: dnscache.UpstreamStats{State: "there is no zone " + name}}
	}
	return r.DNS.Zones[i]
}

// stale counts the answers of zones that were used though they were too old.
func (r reputation) stale() (n uint64) {
	for _, z := range r.DNS.Zones {
		n += z.Stale
	}
	return n
}

// getPage asks the daemon's HTTP interface.
func (g *daemon) getPage(t *testing.T, path string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://"+g.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (g *daemon) reputation(t *testing.T) (r reputation) {
	t.Helper()
	code, body := g.getPage(t, "/api/v1/reputation")
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK {
		t.Fatalf("/api/v1/reputation: %d, %v: %s", code, err, body)
	}
	return r
}

// explained is a part of what /api/v1/decision tells.
type explained struct {
	Decision struct{ Action, Reason, List, Entry string }
	Asked    []struct {
		List  string
		Steps []lists.TraceStep
	}
}

func (g *daemon) explain(t *testing.T, client netip.Addr) (e explained) {
	t.Helper()
	code, body := g.getPage(t, "/api/v1/decision?addr="+client.String())
	if err := json.Unmarshal([]byte(body), &e); err != nil || code != http.StatusOK {
		t.Fatalf("/api/v1/decision: %d, %v: %s", code, err, body)
	}
	return e
}

// learn waits until all is known of a client that its decision depends on. Else, if the machine is busy, it might not be known
// in time.
func (g *daemon) learn(t *testing.T, client netip.Addr) {
	t.Helper()
	var order []listState
	if _, body := g.getPage(t, "/api/v1/lists"); json.Unmarshal([]byte(body), &order) != nil {
		t.Fatalf("/api/v1/lists: %s", body)
	}
	var e explained
	err := testenv.Await(soon(t), func() (bool, error) {
		e = g.explain(t, client)
		unknown := map[string]bool{}
		for _, a := range e.Asked {
			unknown[a.List] = slices.ContainsFunc(a.Steps, func(s lists.TraceStep) bool { return strings.Contains(s.Effect, "not known") })
		}
		last := slices.IndexFunc(order, func(l listState) bool { return l.Name == e.Decision.List })
		if last < 0 { // the default
			last = len(order) - 1
		}
		return !unknown[""] && !slices.ContainsFunc(order[:last+1], func(l listState) bool { return unknown[l.Name] }), nil
	})
	if err != nil {
		t.Fatalf("waiting until %v is known: %v; got %+v", client, err, e)
	}
}

// awaitReputation waits until the daemon is as it ought to be; what is that in words.
func (g *daemon) awaitReputation(t *testing.T, limit time.Duration, what string, is func(*reputation) bool) reputation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var r reputation
	if err := testenv.Await(ctx, func() (bool, error) { r = g.reputation(t); return is(&r), nil }); err != nil {
		t.Fatalf("waiting %v for %s: %v; got %+v", limit, what, err, r)
	}
	return r
}

// awaitZones waits until all of these zones are in a state.
func (g *daemon) awaitZones(t *testing.T, limit time.Duration, state string, zones ...string) reputation {
	t.Helper()
	return g.awaitReputation(t, limit, fmt.Sprintf("%v %s", zones, state), func(r *reputation) bool {
		return !slices.ContainsFunc(zones, func(z string) bool { return r.zone(z).State != state })
	})
}

// seesBreaker checks that everything that shows the state of a zone says that it is asked, or is not.
func (g *daemon) seesBreaker(t *testing.T, asked bool, zones ...string) {
	t.Helper()
	code, health := g.getPage(t, "/healthz")
	for _, zone := range zones {
		trusted, line := 0, "zone "+zone+" is disabled: "
		if asked {
			trusted = 1
		}
		unavailable := code == http.StatusServiceUnavailable && strings.Contains(health, `"status": "unavailable"`)
		if unavailable == asked || strings.Contains(health, line) == asked {
			t.Errorf("/healthz, zone %s asked: %v: %d, %s", zone, asked, code, health)
		}
		want := fmt.Sprintf("ehlogate_dns_zone_enabled{by=\"address\",zone=%q} %d\n", zone, trusted)
		if got := g.metrics(t, "ehlogate_dns_zone_enabled.*\n"); !slices.Contains(got, want) {
			t.Errorf("metrics: no %q among %q", want, got)
		}
	}
}
