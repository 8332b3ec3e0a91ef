package logs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ehlogate/lists/maillog"
	"ehlogate/lists/test/testenv"
)

// session returns the lines of a session on port 25 that began at a minute, and fails if class is not empty.
func session(minute int, addr, reason string) string {
	at := fmt.Sprintf("2026-11-28T%02d:%02d:00.000000+00:00 mx postfix/smtpd[%d]: ", minute/60, minute%60, minute+1)
	peer := "mail.example.org[" + addr + "]"
	text := at + "connect from " + peer + "\n"
	if reason == "" {
		return text + at + "Anonymous TLS connection established from " + peer + ": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n" +
			at + "4B2C3D1: client=" + peer + "\n" + at + "disconnect from " + peer + " ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7\n"
	}
	return text + at + "SSL_accept error from " + peer + ": -1\n" + at + "warning: TLS library problem: error:0A0000C1:SSL routines::" + reason + ":../ssl/x.c:1:\n" +
		at + "lost connection after STARTTLS from " + peer + "\n" + at + "disconnect from " + peer + " ehlo=1 starttls=0/1 commands=1/2\n"
}

// running is a Service that runs until the test ends, or stop is called.
type running struct {
	*Service
	t       *testing.T
	advance atomic.Int64 // of the clock, in ns
	mu      sync.Mutex
	events  []Event
	learned []maillog.Session
	cancel  func()
	done    chan struct{}
}

// countLearned returns how many sessions of a client were passed on to be learned from.
func (r *running) countLearned(addr string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.learned {
		if s.Addr.String() == addr {
			n++
		}
	}
	return n
}

func start(t *testing.T, options Options, prepare ...func(*Service)) *running {
	t.Helper()
	r := &running{t: t, done: make(chan struct{})}
	clock := func() time.Time { return time.Now().Add(time.Duration(r.advance.Load())) }
	r.Service = New(options, nil, clock, func(e Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	}, func(s *maillog.Session) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.learned = append(r.learned, *s)
	})
	for _, do := range prepare {
		do(r.Service)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.Run(ctx)
	}()
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() {
	r.cancel()
	<-r.done
}

func (r *running) kinds() (kinds []EventKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (r *running) lines(source string) Lines { return r.Counts().Lines[source] }

func (r *running) awaitLines(source string, want uint64) {
	r.t.Helper()
	testenv.Eventually(r.t, fmt.Sprintf("%d lines of %s", want, source), func() bool { return r.lines(source).All >= want })
	if got := r.lines(source).All; got != want {
		r.t.Errorf("%d lines were read of %s, want %d", got, source, want)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// emptyLog makes a log without lines.
func emptyLog(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "mail.log")
	appendTo(t, path, "")
	return path
}

func countLines(text string) uint64 { return uint64(strings.Count(text, "\n")) }

func TestService(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := emptyLog(t)
	r := start(t, Options{Files: []string{path}})
	testenv.Eventually(t, "the log is open", func() bool { return r.position().Files[path] != nil })
	text := session(1, "192.0.2.1", "") + session(5, "192.0.2.1", "no shared cipher") + session(9, "192.0.2.1", "no shared cipher") +
		session(12, "2001:db8::1", "unsupported protocol") + strings.ReplaceAll(session(14, "192.0.2.9", "no shared cipher"), "postfix/smtpd", "postfix/submission/smtpd") +
		"garbage\n" + session(20, "192.0.2.2", "")
	appendTo(t, path, text)
	r.awaitLines(path, countLines(text))
	if n := r.lines(path).Unread; n != 1 {
		t.Errorf("%d lines were not understood, want 1", n)
	}
	got := map[string]uint64{}
	counts := r.Counts()
	for _, f := range counts.Failures {
		if f.Count > 0 {
			got[f.Class+" "+f.MTA] = f.Count
		}
	}
	for _, s := range counts.Sessions {
		if s.Count > 0 {
			got[s.MTA+" "+s.TLS+" "+s.Mail] = s.Count
		}
	}
	for name, want := range map[string]uint64{"no-shared-cipher postfix": 2, "unsupported-protocol postfix": 1, "postfix ok accepted": 1, "postfix failed none": 3} {
		if got[name] != want {
			t.Errorf("%s: got %d, want %d", name, got[name], want)
		}
	}
	if len(got) != 4 || len(counts.Sessions) != 48 || counts.Clients != 2 {
		t.Errorf("got %v, %d kinds of sessions, %d clients", got, len(counts.Sessions), counts.Clients)
	}
	c := r.Client(netip.MustParseAddr("192.0.2.1"))
	if !c.Known || c.Name != "mail.example.org" || c.TLS["ok"] != 1 || c.TLS["failed"] != 2 || c.Messages != 1 || c.Mail["accepted"] != 1 || len(c.Failures) != 1 ||
		c.Failures[0] != (Failure{"no-shared-cipher", "incapable", 2, time.Date(2026, 11, 28, 0, 9, 0, 0, time.UTC)}) || !c.LastSeen.Equal(c.Failures[0].Last) || c.LastTLS.Minute() != 1 {
		t.Errorf("got %+v", c)
	}
	if c := r.Client(netip.MustParseAddr("192.0.2.9")); c.Known || c.Since.IsZero() {
		t.Errorf("a client on submission: %+v", c)
	}
	if st := r.Status(); len(st) != 1 || st[0].IsDegraded() || st[0].Lag != 0 || st[0].State != "ok" {
		t.Errorf("got %+v", st)
	}
	r.stop()
	if kinds := r.kinds(); len(kinds) != 0 {
		t.Errorf("got %v", kinds)
	}
}

// Another start continues where the one before ended, also if the log was rotated meanwhile.
func TestRestart(t *testing.T) {
	path := emptyLog(t)
	options := Options{Files: []string{path}, State: filepath.Join(t.TempDir(), "logs.json")}
	total := uint64(0)
	for i := range 3 {
		r := start(t, options)
		if i > 0 {
			r.awaitLines(path, total)
		} else {
			testenv.Eventually(t, "the log is open", func() bool { return r.position().Files[path] != nil })
		}
		appendTo(t, path, "one\n")
		r.awaitLines(path, total+1)
		r.stop()
		if kinds := r.kinds(); len(kinds) != 0 {
			t.Errorf("got %v", kinds)
		}
		appendTo(t, path, "two\nthree\n")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		appendTo(t, path, "four\n")
		total = 3
	}
}

// A daemon that is killed soon after its first start loses no line that is written until the next.
func TestFirstCrash(t *testing.T) {
	path, state := emptyLog(t), filepath.Join(t.TempDir(), "logs.json")
	begin := time.Now()
	start(t, Options{Files: []string{path}, State: state})
	testenv.Eventually(t, "the state file", func() bool {
		_, err := os.Stat(state)
		return err == nil
	})
	if elapsed := time.Since(begin); elapsed >= saveTime {
		t.Errorf("the state file was written after %v", elapsed)
	}
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "logs.json")
	if err := os.WriteFile(crashed, text, 0o600); err != nil {
		t.Fatal(err)
	}
	lines := session(0, "192.0.2.1", "")
	appendTo(t, path, lines)
	start(t, Options{Files: []string{path}, State: crashed}).awaitLines(path, countLines(lines))
}

// Settings that change keep what was counted, but for logs that are not read any more.
func TestNewSettings(t *testing.T) {
	path := emptyLog(t)
	r := start(t, Options{Files: []string{path, path + "2"}})
	testenv.Eventually(t, "one log is open, and the other was looked for", func() bool {
		return r.position().Files[path] != nil && r.sources[1].isFailing()
	})
	text := session(1, "192.0.2.1", "") + session(5, "192.0.2.2", "")
	appendTo(t, path, text)
	appendTo(t, path+"2", text)
	r.awaitLines(path, countLines(text))
	r.awaitLines(path+"2", countLines(text))
	r.stop()
	next := New(Options{Files: []string{path}}, r.Service, time.Now, func(Event) {}, nil)
	if c := next.Counts(); c.Clients != 1 || len(c.Lines) != 1 || c.Lines[path].All != countLines(text) {
		t.Errorf("got %+v", c)
	}
	if c := New(Options{Files: []string{path, path + "2"}}, next, time.Now, func(Event) {}, nil).Counts(); c.Lines[path+"2"].All != 0 {
		t.Errorf("got %+v", c.Lines)
	}
}

// A state file that cannot be used is a warning, and the log is read from its end on.
func TestStateFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"cut off": func(path string) error { return os.WriteFile(path, []byte(`{"version":1,"files":{`), 0o600) },
		"version": func(path string) error { return os.WriteFile(path, []byte(`{"version":2,"files":{}}`), 0o600) },
		"impossible": func(path string) error {
			return os.WriteFile(path, []byte(`{"version":1,"files":{"a":[{"offset":-1}]}}`), 0o600)
		},
		"no cursor": func(path string) error {
			return os.WriteFile(path, []byte(`{"version":1,"files":{},"journal":{"cursor":"s=1;--file=/dev/zero"}}`), 0o600)
		},
		"too large":   func(path string) error { return os.WriteFile(path, []byte(strings.Repeat(" ", maxStateSize+1)), 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "logs.json")
			if err := make(state); err != nil {
				t.Fatal(err)
			}
			path := emptyLog(t)
			appendTo(t, path, "old\n")
			r := start(t, Options{Files: []string{path}, State: state})
			testenv.Eventually(t, "the log is open", func() bool { return r.position().Files[path] != nil })
			appendTo(t, path, "new\n")
			r.awaitLines(path, 1)
			r.stop()
			want := []EventKind{StateInvalid}
			if info, err := os.Lstat(state); err != nil || !info.Mode().IsRegular() {
				want = append(want, StateNotWritten)
			}
			if kinds := r.kinds(); !slices.Equal(kinds, want) {
				t.Errorf("got %v, want %v", kinds, want)
			}
		})
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"files":{"/var/log/mail.log":[{"device":1,"inode":2,"offset":300,"head":"0011223344556677","head_size":300,"changed":1}]}}`))
	f.Add([]byte(`{"version":1,"files":{},"journal":{"cursor":"s=e57e1b933dbf49f6875eeab794f60179;i=2;b=7cc438cbd6af41e7aaf99055c28c78d5;m=a7dc07d46;t=6615cd302bc18;x=b88c3f14c312bebd"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			return
		}
		if again, err := parseState(formatState(s)); err != nil || len(again.Files) != len(s.Files) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// What cannot be read is degraded after a while, and is read as soon as it can be.
func TestUnreadable(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"gone":        os.Remove,
		"a pipe":      func(path string) error { _ = os.Remove(path); return syscall.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { _ = os.Remove(path); return os.Mkdir(path, 0o700) },
		"a device":    func(path string) error { _ = os.Remove(path); return os.Symlink("/dev/zero", path) },
	} {
		t.Run(name, func(t *testing.T) {
			path, good := emptyLog(t), emptyLog(t)
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			r := start(t, Options{Files: []string{path, good}})
			testenv.Eventually(t, "a look", func() bool {
				r.sources[0].mu.Lock()
				defer r.sources[0].mu.Unlock()
				return !r.sources[0].failing.IsZero()
			})
			if st := r.Status()[0]; st.IsDegraded() {
				t.Errorf("at once: %+v", st)
			}
			r.advance.Add(int64(faultTime))
			testenv.Eventually(t, "the warning", func() bool { return slices.Equal(r.kinds(), []EventKind{Unreadable}) })
			st := r.Status()
			if !st[0].IsDegraded() || !strings.Contains(st[0].Error, path) || st[0].Since.IsZero() || st[0].Lag < faultTime.Seconds() || st[1].IsDegraded() || st[1].Lag > 1 {
				t.Errorf("got %+v", st)
			}
			appendTo(t, good, "a line\n")
			r.awaitLines(good, 1)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			appendTo(t, path, "")
			testenv.Eventually(t, "it is readable", func() bool { return slices.Equal(r.kinds(), []EventKind{Unreadable, Readable}) })
			appendTo(t, path, "a line\n")
			testenv.Eventually(t, "a line", func() bool { return r.lines(path).All == 1 })
			if st := r.Status()[0]; st.IsDegraded() || st.Lag != 0 {
				t.Errorf("got %+v", st)
			}
		})
	}
}

// A log full of garbage is counted, and is no evidence about a client.
func TestGarbage(t *testing.T) {
	path := emptyLog(t)
	r := start(t, Options{Files: []string{path}})
	testenv.Eventually(t, "the log is open", func() bool { return r.position().Files[path] != nil })
	random := rand.NewChaCha8([32]byte{17})
	garbage := make([]byte, 8<<20)
	_, _ = random.Read(garbage)
	text := string(garbage) + "\n" + strings.Repeat("x", 1<<20) + "\n" + "last\n"
	appendTo(t, path, text)
	r.awaitLines(path, countLines(text))
	if n := r.lines(path); n.Unread != n.All || r.Counts().Clients != 0 {
		t.Errorf("got %+v, %d clients", n, r.Counts().Clients)
	}
	if st := r.Status()[0]; st.IsDegraded() {
		t.Errorf("got %+v", st)
	}
}

// A panic about a line costs that line.
func TestPanic(t *testing.T) {
	path := emptyLog(t)
	r := start(t, Options{Files: []string{path}}, func(s *Service) { s.sources[0].reader = new(maillog.Reader) })
	testenv.Eventually(t, "the panic", func() bool { return len(r.kinds()) > 0 })
	text := session(1, "192.0.2.1", "") + session(5, "192.0.2.2", "")
	appendTo(t, path, text)
	testenv.Eventually(t, "the session", func() bool { return r.Client(netip.MustParseAddr("192.0.2.1")).Known })
	r.stop()
	if kinds := r.kinds(); !slices.Equal(kinds, []EventKind{Panicked}) || !strings.Contains(string(r.events[0].Stack), "maillog") {
		t.Errorf("got %v", kinds)
	}
}

// A log that is a day behind is read with a share of a core, and the lag is known meanwhile.
func TestBehind(t *testing.T) {
	path := emptyLog(t)
	options := Options{Files: []string{path}, State: filepath.Join(t.TempDir(), "logs.json")}
	first := start(t, options)
	testenv.Eventually(t, "the log is open", func() bool { return first.position().Files[path] != nil })
	appendTo(t, path, "2026-11-27T00:00:00+00:00 mx postfix/qmgr[1]: starting the postfix mail system\n")
	first.awaitLines(path, 1)
	first.stop()
	var b strings.Builder
	for b.Len() < 8<<20 {
		b.WriteString(session(b.Len()/50_000, "192.0.2.1", "no shared cipher"))
	}
	text := strings.ReplaceAll(b.String(), "2026-11-28T", time.Now().AddDate(0, 0, -2).Format("2006-01-02T"))
	appendTo(t, path, text)
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begin, usedBefore, lag := time.Now(), used(), 0.0
	r := start(t, options)
	testenv.Eventually(t, "the end", func() bool {
		lag = max(lag, r.Status()[0].Lag)
		time.Sleep(10 * time.Millisecond) // so that it does not use the core itself
		return r.lines(path).All == countLines(text)
	})
	share := (used() - usedBefore).Seconds() / time.Since(begin).Seconds()
	t.Logf("%d MB in %v, %.2f of a core, lag at most %.0f s", len(text)>>20, time.Since(begin).Round(time.Millisecond), share, lag)
	if share > 0.35 {
		t.Errorf("it took %.2f of a core", share)
	}
	if lag < 24*3600 {
		t.Errorf("the lag was %v s", lag)
	}
	testenv.Eventually(t, "no lag", func() bool { return r.Status()[0].Lag == 0 })
}

// However many clients there are, memory is bounded.
func TestManyClients(t *testing.T) {
	s := newTally(time.Now())
	addr := netip.MustParseAddr("10.0.0.0")
	for range maxClients + 1000 {
		addr = addr.Next()
		for c := range maxClasses + 2 {
			s.addSession(&maillog.Session{Addr: addr, Service: maillog.ServiceSMTP, TLS: maillog.TLSFailed, Class: maillog.FailureClasses()[c], End: time.Now()})
		}
	}
	if n := s.clients.Len(); n != maxClients {
		t.Errorf("%d clients", n)
	}
	r := (&Service{tally: s}).Client(addr)
	if len(r.Failures) != maxClasses || r.Others != 2 || r.TLS["failed"] != maxClasses+2 {
		t.Errorf("got %+v", r)
	}
}

// TestServerTrouble: a line with which a mail server says that its TLS does not work is reported at once, without a session.
func TestServerTrouble(t *testing.T) {
	path := emptyLog(t)
	r := start(t, Options{Files: []string{path}})
	testenv.Eventually(t, "the log is open", func() bool { return r.position().Files[path] != nil })
	for n, line := range []string{
		"sendmail[1]: STARTTLS=server, error: SSL_CTX_check_private_key failed(/etc/mail/tls/key.pem): 0",
		"postfix/smtpd[1]: warning: cannot get RSA certificate from file \"/etc/cert.pem\": disabling TLS support",
	} {
		appendTo(t, path, "2026-11-28T05:00:00.000000+00:00 mx "+line+"\n")
		testenv.Eventually(t, "it is reported", func() bool {
			return slices.Equal(r.kinds(), slices.Repeat([]EventKind{ServerTrouble}, n+1))
		})
	}
}
