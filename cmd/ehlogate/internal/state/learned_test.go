package state

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/fallback"
	"ehlogate/lists/maillog"
	"ehlogate/lists/test/testenv"
)

const learningConfig = `
[guard]
off = true
[logs]
files = ["DIR/mail.log"]
state = ""
[learn]
state = "DIR/learned.db"
never = ["never.list"]
[fallback]
observe_for = "1s"
watch = []
[[list]]
name = "allow"
action = "offer"
files = ["allow.list"]
[[list]]
name = "deny"
action = "suppress"
mode = "observe"
files = ["deny.list"]
[[list]]
name = "old"
action = "legacy"
files = ["old.list"]
[[list]]
name = "broken"
action = "suppress"
learn = "fallback"
mode = "enforce"
[[list]]
name = "earned"
action = "offer"
learn = "earned"
`

func newLearningDir(t *testing.T) *dir {
	d := newDir(t, "")
	d.write("c.toml", strings.ReplaceAll(learningConfig, "DIR", d.path))
	d.write("mail.log", "")
	d.write("allow.list", "192.0.2.1\n192.0.2.3\n")
	d.write("deny.list", "192.0.2.2\n192.0.2.3\n")
	d.write("old.list", "192.0.2.4\n")
	d.write("never.list", "192.0.2.9\n.never.example\n")
	return d
}

// What other lists say of a client decides whether it may be learned; the lists that learn say nothing.
func TestStanding(t *testing.T) {
	d := newLearningDir(t)
	m := d.engine()
	for addr, want := range map[string]fallback.Standing{"192.0.2.1": fallback.StandingTrusted, "192.0.2.2": fallback.StandingDenied, "192.0.2.3": fallback.StandingDenied,
		"192.0.2.4": fallback.StandingNone, "192.0.2.5": fallback.StandingNone} {
		if got := m.findStanding(lists.Client{Addr: netip.MustParseAddr(addr)}); got != want {
			t.Errorf("%s: got %d, want %d", addr, got, want)
		}
	}
	d.write("allow.list", "a mistake\n")
	m = d.engine()
	for addr, want := range map[string]fallback.Standing{"192.0.2.1": fallback.StandingUnknown, "192.0.2.2": fallback.StandingDenied, "192.0.2.5": fallback.StandingUnknown} {
		if got := m.findStanding(lists.Client{Addr: netip.MustParseAddr(addr)}); got != want {
			t.Errorf("without a list, %s: got %d, want %d", addr, got, want)
		}
	}
}

// Of the clients in the list of [learn] never nothing is learned; of none, while that list cannot be read. Reports say so.
func TestNever(t *testing.T) {
	d := newLearningDir(t)
	isNever := func(m *Manager, addr, name string) bool {
		return m.learning.never.Lookup(lists.Client{Addr: netip.MustParseAddr(addr), Name: name}).Status != lists.NoMatch
	}
	m := d.engine()
	if !isNever(m, "192.0.2.9", "") || isNever(m, "192.0.2.1", "") || !isNever(m, "192.0.2.1", "a.never.example") {
		t.Error("the list is not used")
	}
	if m.Snapshot().NeverHealth().IsDegraded() || len(m.Snapshot().Unavailable()) != 0 {
		t.Errorf("%+v, %v", m.Snapshot().NeverHealth(), m.Snapshot().Unavailable())
	}
	d.write("never.list", "a mistake\n")
	m = d.engine()
	if !isNever(m, "192.0.2.1", "") {
		t.Error("clients are learned although the list cannot be read")
	}
	if !m.Snapshot().NeverHealth().IsDegraded() || len(m.Snapshot().Unavailable()) != 1 || !strings.Contains(d.log.String(), "nothing is learned, and lists that learn match no client") {
		t.Errorf("%+v, %v\n%s", m.Snapshot().NeverHealth(), m.Snapshot().Unavailable(), d.log.String())
	}
}

// A fallback list observes until logs have been followed for long enough, and then takes effect by itself. Its entries are not
// those of the operator. The services live on over reloads.
func TestLearnedMode(t *testing.T) {
	d := newLearningDir(t)
	m := d.engine()
	broken, earned := m.Snapshot().Policy.Lists[3], m.Snapshot().Policy.Lists[4]
	if broken.Mode != lists.Observe || earned.Mode != lists.Enforce || !broken.External || broken.Sessions == nil || m.isEnforced(lists.Suppress) {
		t.Errorf("%+v, %+v", broken, earned)
	}
	if !m.Snapshot().ObservesAtFirst(3) || m.Snapshot().ObservesAtFirst(1) {
		t.Error("ObservesAtFirst is wrong")
	}
	reload, ctx := make(chan func()), t.Context()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx, reload) })
	defer running.Wait()
	defer cancel()
	testenv.Eventually(t, "the list takes effect", func() bool { return m.Snapshot().Policy.Lists[3].Mode == lists.Enforce })
	testenv.Eventually(t, "the log says so", func() bool { return strings.Contains(d.log.String(), "learned list takes effect") })
	if log := d.log.String(); !strings.Contains(log, "learned list only observes") || !m.isEnforced(lists.Suppress) {
		t.Errorf("%v\n%s", m.isEnforced(lists.Suppress), log)
	}
	service := m.Snapshot().Learn
	d.write("c.toml", "max_entries = 999\n"+strings.ReplaceAll(learningConfig, "DIR", d.path))
	done := make(chan struct{})
	reload <- func() { close(done) }
	<-done
	if s := m.Snapshot(); s.Config.MaxEntries != 999 || s.Learn != service || s.Policy.Lists[3].Mode != lists.Enforce {
		t.Errorf("after a reload: %v, %v\n%s", s.Learn == service, s.Policy.Lists[3].Mode, d.log.String())
	}
	d.write("c.toml", strings.ReplaceAll(strings.ReplaceAll(learningConfig, "DIR", d.path), "[earned]", "")+"[earned]\ndays = 6\n")
	done = make(chan struct{})
	reload <- func() { close(done) }
	<-done
	if s := m.Snapshot(); s.Learn == service || s.Policy.Lists[3].Source != broken.Source || s.Policy.Lists[3].Mode != lists.Enforce {
		t.Errorf("with other settings: %v, %v\n%s", s.Learn == service, s.Policy.Lists[3].Mode, d.log.String())
	}
	testenv.Eventually(t, "the new service has the file", func() bool { return m.Snapshot().Learn.Status().Bytes > 0 && !m.Snapshot().Learn.Status().IsDegraded() })
}

// What logs tell goes to the lists that learn, if there are any; lines that were lost keep them from learning.
func TestLearnFromLogs(t *testing.T) {
	d := newLearningDir(t)
	m := d.engine()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx, nil) })
	defer running.Wait()
	defer cancel()
	now := time.Now()
	m.learnFrom(&maillog.Session{Time: now, End: now, Service: maillog.ServiceSMTP, Addr: netip.MustParseAddr("192.0.2.1"), TLS: maillog.TLSOK, Version: "TLSv1.3"})
	testenv.Eventually(t, "it is learned", func() bool {
		r, err := m.Snapshot().Learn.Report(ctx)
		return err == nil && r.Fallback.Immune == 1
	})
	m.Snapshot().Learn.OpenBreaker("lines of x were not read")
	testenv.Eventually(t, "the list is degraded", func() bool { return m.Snapshot().ListHealth(3, DNSStats{}).IsDegraded() })
	if m.Snapshot().ListHealth(3, DNSStats{}).Unavailable {
		t.Error("the list is unavailable")
	}
}

// A command that does without the daemon has lists that learned nothing, and touches no file.
func TestLoadLearned(t *testing.T) {
	d := newLearningDir(t)
	cfg, err := d.engine().load()
	if err != nil {
		t.Fatal(err)
	}
	s := Load(cfg, time.Now).Snapshot()
	for i := 3; i < 5; i++ {
		if got := s.Policy.Lists[i].Source.Lookup(lists.Client{Addr: netip.MustParseAddr("192.0.2.77")}).Status; got != lists.NoMatch {
			t.Errorf("list %d: got %v", i, got)
		}
	}
	if p, whole := s.FileDecisions(); whole || len(p.Lists) != 3 {
		t.Errorf("%d lists decide by files alone, %v", len(p.Lists), whole)
	}
	if found, err := filepath.Glob(d.path + "/learned*"); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}
