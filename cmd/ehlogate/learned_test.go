package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/testenv"
	"ehlogate/lists/tlsrpt"
)

// learnConfig has a fallback list with small numbers. In it, DIR is the directory.
const learnConfig = `
[listen]
memcache = ["DIR/memcache.sock"]
http = ["DIR/http.sock"]
[guard]
off = true
[logs]
files = ["DIR/mail.log"]
state = "DIR/logs.json"
[tlsrpt]
state = "DIR/tlsrpt.json"
[learn]
state = "DIR/learned.db"
never = ["DIR/never.list"]
[fallback]
spacing = "1s"
span = "2s"
observe_for = "1s"
watch = ["DIR/main.cf"]
[[list]]
name = "broken"
learn = "fallback"
action = "suppress"
mode = "enforce"
`

// learner is the daemon, in a process of its own, and the log that it learns from.
type learner struct {
	*testing.T
	dir string
	cmd *exec.Cmd
	at  time.Time // of the last session in the log of the mail server
}

func startLearner(t *testing.T, conf string) *learner {
	l := newLearner(t, conf)
	l.start()
	return l
}

func newLearner(t *testing.T, conf string) *learner {
	l := &learner{T: t, dir: t.TempDir(), at: time.Now().Add(-4 * time.Hour)}
	l.write("c.toml", strings.ReplaceAll(conf, "DIR", l.dir))
	l.write("mail.log", "")
	l.write("main.cf", "# nothing\n")
	l.write("never.list", "# none\n")
	t.Cleanup(l.kill)
	return l
}

func (l *learner) logHas(text string) bool {
	log, err := os.ReadFile(filepath.Join(l.dir, "ehlogate.log"))
	return err == nil && strings.Contains(string(log), text)
}

func (l *learner) write(name, text string) {
	l.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

func (l *learner) start() {
	l.Helper()
	l.cmd = exec.Command("ehlogate", "serve", "-c", filepath.Join(l.dir, "c.toml"))
	out, err := os.OpenFile(filepath.Join(l.dir, "ehlogate.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.Fatal(err)
	}
	defer out.Close()
	l.cmd.Stderr = out
	if err := l.cmd.Start(); err != nil {
		l.Fatal(err)
	}
	l.await("it is ready to learn", func() bool {
		p, err := os.ReadFile(filepath.Join(l.dir, "logs.json"))
		return err == nil && strings.Contains(string(p), "mail.log") && l.isLearning()
	})
}

func (l *learner) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

// await waits for a condition, and shows the log of the daemon if it does not come true.
func (l *learner) await(what string, holds func() bool) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), testenv.Soon)
	defer cancel()
	if err := testenv.Await(ctx, func() (bool, error) { return holds(), nil }); err != nil {
		log, _ := os.ReadFile(filepath.Join(l.dir, "ehlogate.log"))
		_, body := l.get("/api/v1/learned")
		l.Fatalf("waiting until %s: %v\n%s\n%s", what, err, log, body)
	}
}

func (l *learner) get(path string) (code int, body string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(l.dir, "http.sock"))
	}}}
	r, err := client.Get("http://localhost" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body) // a part of it fails the test
	return r.StatusCode, string(text)
}

// health returns the state of what is learned, from /healthz.
func (l *learner) health() (status string, learned struct {
	State, Error, Breaker, Aside string
	Enforces                     bool
	Followed                     float64 `json:"followed_seconds"`
	Entries                      int     `json:"fallback_entries"`
}) {
	l.Helper()
	_, body := l.get("/healthz")
	var h struct {
		Status  string
		Learned json.RawMessage
	}
	_ = json.Unmarshal([]byte(body), &h) // an answer that is none has no state
	_ = json.Unmarshal(h.Learned, &learned)
	return h.Status, learned
}

func (l *learner) isLearning() bool {
	_, h := l.health()
	return h.Followed > 0 && (h.State == "ok" || h.Breaker != "")
}

// answer returns the answer to memcache about a client.
func (l *learner) answer(addr string) string {
	c, err := net.Dial("unix", filepath.Join(l.dir, "memcache.sock"))
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	fmt.Fprintf(c, "get starttls:%s\r\nquit\r\n", addr)
	text, _ := io.ReadAll(c) // a part of it fails the test
	return string(text)
}

// decides reports whether the decision about a client has an action. It counts as no session, unlike suppresses.
func (l *learner) decides(addr, action string) bool {
	_, body := l.get("/api/v1/decision?addr=" + addr)
	var r struct{ Decision struct{ Action string } }
	_ = json.Unmarshal([]byte(body), &r) // as in health
	return r.Decision.Action == action
}

func (l *learner) suppresses(addr string) bool {
	return strings.Contains(l.answer(addr), "starttls\r\n")
}

// logSession writes a session into the log of the mail server, ten minutes after the one before, and a later line, since a
// session counts a minute after its end.
func (l *learner) logSession(addr string, lines ...string) {
	l.Helper()
	f, err := os.OpenFile(filepath.Join(l.dir, "mail.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		l.Fatal(err)
	}
	defer f.Close()
	l.at = l.at.Add(10 * time.Minute)
	for _, text := range lines {
		fmt.Fprintf(f, "%s mx postfix/smtpd[2]: %s\n", l.at.UTC().Format("2006-01-02T15:04:05-07:00"), strings.ReplaceAll(text, "CLIENT", "printer.example.org["+addr+"]"))
	}
	fmt.Fprintf(f, "%s mx postfix/smtpd[3]: connect from unknown[198.51.100.9]\n", l.at.Add(5*time.Minute).UTC().Format("2006-01-02T15:04:05-07:00"))
}

var (
	failedSession = []string{"connect from CLIENT", "SSL_accept error from CLIENT: -1", "warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:",
		"lost connection after STARTTLS from CLIENT", "disconnect from CLIENT ehlo=1 starttls=0/1 commands=1/2"}
	goodSession = []string{"connect from CLIENT", "Anonymous TLS connection established from CLIENT: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
		"disconnect from CLIENT ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7"}
)

// evidence returns how many failures of a client are evidence.
func (l *learner) evidence(addr string) int {
	_, body := l.get("/api/v1/learned/" + addr)
	var c struct{ Fallback struct{ Evidence []any } }
	_ = json.Unmarshal([]byte(body), &c) // as in health
	return len(c.Fallback.Evidence)
}

// failureLine returns the line of the log that tells why TLS failed last.
func (l *learner) failureLine() string {
	return l.at.UTC().Format("2006-01-02T15:04:05-07:00") + " mx postfix/smtpd[2]: " + failedSession[2]
}

// learnClient has a client fail until it is suppressed.
func (l *learner) learnClient(addr string) {
	l.Helper()
	for n := 1; n <= 2; n++ {
		_, before := l.health()
		l.logSession(addr, failedSession...)
		l.await(fmt.Sprintf("failure %d is evidence", n), func() bool { return l.evidence(addr) == n })
		l.await("the next may count", func() bool { _, h := l.health(); return h.Followed >= before.Followed+3 })
	}
	l.logSession(addr, failedSession...)
	l.await("the client is suppressed", func() bool { return l.suppresses(addr) })
}

// TestLearned: a client that cannot do TLS is learned by the daemon, is there after kill -9, and is freed by its first success.
func TestLearned(t *testing.T) {
	testenv.Needs(t, "half a minute")
	const addr = "192.0.2.7"
	l := startLearner(t, learnConfig)
	if l.suppresses(addr) {
		t.Fatal("a client is suppressed before it failed")
	}
	l.learnClient(addr)
	if l.suppresses("192.0.2.8") {
		t.Error("another client is suppressed")
	}
	var out, errs strings.Builder
	code := run(t.Context(), []string{"explain", "-c", filepath.Join(l.dir, "c.toml"), addr}, &out, &errs)
	for _, want := range []string{addr + ": suppress", `list "broken"`, "learned   fallback: suppress since", "no-shared-cipher", "failed 20", "            log: " + l.failureLine() + "\n"} {
		if code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("explain: %d, no %q in\n%s%s", code, want, out.String(), errs.String())
		}
	}
	_, metrics := l.get("/metrics")
	for _, want := range []string{`ehlogate_learned_clients{list="broken"} 1`, `ehlogate_learned_enforced{list="broken"} 1`, `ehlogate_learned_events_total{kind="learned"} 1`} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s in the metrics", want)
		}
	}
	for path, want := range map[string]int{"/api/v1/learned": 200, "/api/v1/learned/192.0.2.9": 200, "/api/v1/learned/x": 400, "/api/v1/learned?x=1": 400} {
		if code, body := l.get(path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}

	l.kill()
	l.start()
	l.await("the client is suppressed after kill -9", func() bool { return l.suppresses(addr) })
	if err := l.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	l.await("the config is reloaded", func() bool {
		if !l.decides(addr, "suppress") {
			t.Fatal("a reload frees the client")
		}
		log, err := os.ReadFile(filepath.Join(l.dir, "ehlogate.log"))
		return err == nil && strings.Contains(string(log), "config reloaded")
	})
	if !l.decides(addr, "suppress") {
		t.Error("a reload frees the client")
	}

	l.logSession(addr, goodSession...)
	l.await("the client is free after a success", func() bool { return l.decides(addr, "offer") })
	if l.suppresses(addr) {
		t.Error("the answer is not as the decision")
	}
	_, body := l.get("/api/v1/learned/" + addr)
	if !strings.Contains(body, `"immune"`) {
		t.Errorf("the client is not immune: %s", body)
	}
}

// TestLearnedNever: an edit of the list of clients of which nothing is learned counts within the time of every list.
func TestLearnedNever(t *testing.T) {
	testenv.Needs(t, "half a minute")
	const addr = "192.0.2.7"
	l := startLearner(t, learnConfig)
	l.learnClient(addr)
	l.write("never.list", addr+"\n")
	begin := time.Now()
	l.await("the client is free", func() bool { return l.decides(addr, "offer") })
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	l.await("its entry is gone", func() bool { _, h := l.health(); return h.Entries == 0 })
}

// TestLearnedReport: a client that relies on STARTTLS, as a TLS report says, is freed and cannot be learned again.
func TestLearnedReport(t *testing.T) {
	testenv.Needs(t, "half a minute")
	const addr = "192.0.2.7"
	l := startLearner(t, learnConfig)
	l.learnClient(addr)
	finding := tlsrpt.Finding{Address: netip.MustParseAddr(addr), Organization: "sender.example", Domain: "example.org", Sessions: 3, ReportID: "1", Start: time.Now(), End: time.Now()}
	if err := tlsrpt.Record(filepath.Join(l.dir, "tlsrpt.json"), time.Now(), []tlsrpt.Finding{finding}); err != nil {
		t.Fatal(err)
	}
	l.await("the client is free", func() bool { return l.decides(addr, "offer") })
	_, body := l.get("/api/v1/learned/" + addr)
	if !strings.Contains(body, `"immune"`) {
		t.Errorf("the client is not immune: %s", body)
	}
	l.await("the log says why", func() bool { return l.logHas("a TLS report of sender.example says") })
}

// TestFallbackCommands shows, promotes, forgets and forbids a client that a daemon learned.
func TestFallbackCommands(t *testing.T) {
	testenv.Needs(t, "half a minute")
	const addr = "192.0.2.7"
	own := "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"DIR/deny.list\"]\n"
	l := newLearner(t, learnConfig+own)
	l.write("deny.list", "# mine\n")
	l.start()
	fallback := func(args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		if code := run(t.Context(), append([]string{"fallback", "-c", filepath.Join(l.dir, "c.toml")}, args...), &out, &errs); code != 0 {
			t.Errorf("%v: exit status %d: %s", args, code, errs.String())
		}
		return out.String()
	}
	wants := func(text string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	wants(fallback("show", addr), addr+": no entry", "not learned: ")
	l.learnClient(addr)
	wants(fallback("list"), "list \"broken\" (suppress): in force\n", "1 of at most 200 entries", addr+" printer.example.org: suppress until ", "no-shared-cipher (postfix, smtp)", "what would help instead:\n  1 client: ")
	wants(fallback("show", addr), addr+" printer.example.org: suppress until ", "; for good ", `  list "broken" (suppress): in force`, "    log: "+l.failureLine()+"\n")
	wants(fallback("list", "--json"), `"followed_seconds"`, `"client": "`+addr+`"`)
	wants(fallback("show", "--json", addr), `"entry"`, `"line": "`+l.failureLine()+`"`)
	if listed := fallback("list") + fallback("list", "--json"); strings.Contains(listed, "TLS library problem") {
		t.Errorf("the list of all clients has lines of the log:\n%s", listed)
	}
	exported := fallback("export")
	wants(exported, "\n"+addr+" until=", "  # suppress: no-shared-cipher x3, last ", ", printer.example.org\n")
	if err := listfile.Parse(strings.NewReader(exported), "exported", listfile.Rules{Action: lists.Suppress}, func(*listfile.Item) error { return nil }); err != nil {
		t.Error(err)
	}
	wants(fallback("promote", addr), `list "deny": wrote into `, addr+"  # promoted ", ": no-shared-cipher x3, last ")
	wants(fallback("forget", addr), "never.list, which the daemon follows:\n    "+addr+" until=")
	l.await("its entry is gone", func() bool { _, h := l.health(); return h.Entries == 0 })
	l.await("the operator's own line counts", func() bool { return l.decides(addr, "suppress") })
	wants(fallback("forbid", ".example.net"), "    .example.net  # forbidden ")
	text, err := os.ReadFile(filepath.Join(l.dir, "never.list"))
	if err != nil || strings.Count(string(text), "\n") != 3 {
		t.Errorf("never.list: %q, %v; want the comment and two lines", text, err)
	}
}

// TestLearnedWatch: a change of a file of the mail server stops learning, which /healthz says with status 200.
func TestLearnedWatch(t *testing.T) {
	testenv.Needs(t, "some seconds")
	l := startLearner(t, learnConfig)
	l.await("the file is known", func() bool {
		_, body := l.get("/metrics")
		return !strings.Contains(body, "ehlogate_learned_store_bytes 0\n")
	})
	l.kill()
	l.write("main.cf", "smtpd_tls_protocols = >=TLSv1.2\n") // also while ehlogate does not run
	l.start()
	l.await("the breaker is open", func() bool {
		status, h := l.health()
		return status == "degraded" && strings.Contains(h.Breaker, "main.cf changed")
	})
	if code, _ := l.get("/healthz"); code != 200 {
		t.Errorf("/healthz is %d", code)
	}
}
