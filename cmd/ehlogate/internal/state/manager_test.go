package state

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logBuffer may be written to and read at the same time.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type dir struct {
	t    *testing.T
	path string
	log  logBuffer
}

func (d *dir) write(name, text string) {
	d.t.Helper()
	tmp := filepath.Join(d.path, name)
	if err := os.WriteFile(tmp+".new", []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(tmp+".new", tmp); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dir) engine() *Manager {
	d.t.Helper()
	load := func() (*config.Config, error) { return config.Load(filepath.Join(d.path, "c.toml")) }
	cfg, err := load()
	if err != nil {
		d.t.Fatal(err)
	}
	log := logrus.New()
	logschema.Watch(d.t, log)
	log.SetOutput(&d.log)
	e := New(cfg, load, time.Now, log)
	e.times = times{idle: 5 * time.Millisecond, busy: 5 * time.Millisecond, quiet: 20 * time.Millisecond, hold: 50 * time.Millisecond, hung: 300 * time.Millisecond}
	return e
}

func newDir(t *testing.T, conf string) *dir {
	d := &dir{t: t, path: t.TempDir()}
	d.write("c.toml", conf)
	return d
}

func action(e *Manager, addr string) string {
	d := e.Decide(context.Background(), lists.Client{Addr: netip.MustParseAddr(addr)})
	return d.Action.String() + " " + d.Reason.String()
}

const deny = "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"

func TestReload(t *testing.T) {
	d := newDir(t, deny)
	d.write("deny.list", "192.0.2.1\n")
	e := d.engine()
	expect := func(what, addr, want string) {
		t.Helper()
		if got := action(e, addr); got != want {
			t.Errorf("%s: %s is %q, want %q\n%s", what, addr, got, want, d.log.String())
		}
	}
	expect("at start", "192.0.2.1", "suppress listed")

	refused := func(what string) {
		t.Helper()
		before := e.ReloadFailures()
		if err := e.Reload(t.Context()); err == nil || e.ReloadFailures() != before+1 {
			t.Errorf("%s: the reload was not refused, or not counted", what)
		}
		expect(what, "192.0.2.1", "suppress listed")
		expect(what, "192.0.2.9", "offer default")
	}
	d.write("c.toml", "default = \"suppress\"\nguard.off = true\nbogus = 1\n")
	refused("a broken config")
	d.write("c.toml", "default = \"suppress\"\nguard.off = true\n"+deny+strings.ReplaceAll(deny, "deny", "more"))
	refused("a new list that cannot be loaded")
	d.write("c.toml", "")
	refused("a config of zero bytes")
	if e.ReloadError() == nil {
		t.Error("the refusal is not told")
	}
	if err := os.Remove(filepath.Join(d.path, "c.toml")); err != nil {
		t.Fatal(err)
	}
	refused("a missing config")

	d.write("c.toml", "default = \"suppress\"\nguard.off = true\nalways_hide = [\"dsn\"]\n"+deny)
	d.write("deny.list", "192.0.2.400\n")
	if err := e.Reload(t.Context()); err != nil || e.ReloadError() != nil {
		t.Errorf("a list that is not new and broken refused the reload: %v", err)
	}
	expect("with a broken list", "192.0.2.1", "suppress listed")
	expect("a new default", "192.0.2.9", "suppress default")
	if e.Snapshot().Values.Suppress != "dsn, starttls" {
		t.Errorf("words are %+v", e.Snapshot().Values)
	}
	d.write("deny.list", "192.0.2.2\n")
	if err := e.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	expect("a reload reads lists too", "192.0.2.1", "suppress default")
	expect("a reload reads lists too", "192.0.2.2", "suppress listed")
}

// A list that was never loaded does not stop the start.
func TestUnloadedAtStart(t *testing.T) {
	for act, want := range map[string]string{"suppress": "suppress default", "offer": "offer unavailable", "require": "offer unavailable"} {
		d := newDir(t, "default = \"suppress\"\nguard.off = true\n"+strings.Replace(deny, "suppress", act, 1))
		e := d.engine()
		if got := action(e, "192.0.2.1"); got != want {
			t.Errorf("an unavailable %s list: %q, want %q", act, got, want)
		}
		if log := d.log.String(); !strings.Contains(log, "deny.list") || !strings.Contains(log, "never loaded") {
			t.Errorf("the log does not tell: %s", log)
		}
	}
}

// While Run runs, edits and reloads take effect, and readers never see
// anything but one of the good states.
func TestRun(t *testing.T) {
	d := newDir(t, deny)
	d.write("deny.list", "192.0.2.1\n192.0.2.100\n")
	e := d.engine()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	reload := make(chan func())
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx, reload) })
	stopReaders := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stopReaders:
					return
				default:
				}
				if got := action(e, "192.0.2.100"); got != "suppress listed" {
					t.Errorf("a reader saw %q", got)
					return
				}
			}
		})
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		if err := testenv.Await(ctx, func() (bool, error) { return ok(), nil }); err != nil {
			t.Fatalf("waiting for %s: %v\n%s", what, err, d.log.String())
		}
	}
	for i := 2; i < 8; i++ {
		d.write("deny.list", "192.0.2.500\n")
		d.write("deny.list", fmt.Sprintf("192.0.2.%d\n192.0.2.100\n", i))
		await("the edit", func() bool { return action(e, fmt.Sprintf("192.0.2.%d", i)) == "suppress listed" })
	}
	d.write("c.toml", "nonsense\n")
	reload <- func() {}
	await("the refusal", func() bool { return e.ReloadFailures() == 1 && strings.Contains(d.log.String(), "reload failed") })
	d.write("c.toml", "always_hide = [\"etrn\"]\n"+deny)
	reload <- func() {}
	await("the reload", func() bool { return e.Snapshot().Values.Suppress == "etrn, starttls" })
	close(stopReaders)
	cancel()
	wg.Wait()
}

// Reload reloads config and lists as Run does, for a caller without Run.
func (m *Manager) Reload(ctx context.Context) error {
	ended := false
	m.beginReload(func() { ended = true })
	for !ended {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(m.followFiles(ctx)):
		}
	}
	return m.ReloadError()
}
