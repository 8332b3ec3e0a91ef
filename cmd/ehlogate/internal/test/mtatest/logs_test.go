package mtatest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// logFaults make of a path what is no log of a mail server.
var logFaults = map[string]func(path string) error{
	"gone":        func(string) error { return nil },
	"a directory": func(path string) error { return os.Mkdir(path, 0o755) },
	"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o644) },
	"endless":     func(path string) error { return os.Symlink("/dev/zero", path) },
	"garbage": func(path string) error {
		text := make([]byte, 8<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(text)
		return os.WriteFile(path, text, 0o644)
	},
}

// TestLogs: ehlogate reads the log that a real Postfix writes, and knows which clients fail. Whatever is in place of a log,
// all sessions get the answer that they get without it.
func TestLogs(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	const denied, failing = "127.0.0.66", "127.0.0.67"
	dir := tempDir(t)
	hung, release := testenv.HungDir(t)
	paths := map[string]string{"good": mtatest.LayoutOf(dir).Log, "hung": filepath.Join(hung, "mail.log")}
	for name, make := range logFaults {
		path := filepath.Join(tempDir(t), "mail.log")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		paths[name] = path
	}
	daemons, files := map[string]*daemon{}, map[string]string{}
	var services []mtatest.Service
	for name, path := range paths {
		id := strings.ReplaceAll(name, " ", "")
		logs := fmt.Sprintf("[logs]\nfiles = [%q]\nstate = %q\n", path, filepath.Join(tempDir(t), "logs.json"))
		g := startDaemon(t, id, "", nil, logs+"[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n", map[string]string{"deny.list": denied + "\n"})
		daemons[name], files[id+".cf"] = g, memcacheCF("inet:"+g.memcache, "starttls:%s", 1, "cidr:/dev/null")
		services = append(services, hides(id, "memcache:"+mtatest.LayoutOf(dir).Config+"/"+id+".cf"))
	}
	t.Cleanup(release) // else the kernel may not let a process end; the package logs tests that the service does
	p := startPostfix(t, mtatest.PostfixConfig{Dir: dir, Services: services, Files: files, Main: "smtpd_tls_mandatory_protocols = >=TLSv1.3\nsmtpd_tls_protocols = >=TLSv1.3\n"})
	for name, g := range daemons {
		addr := p.Addr(strings.ReplaceAll(name, " ", ""))
		for range 3 {
			if !ehlo(t, addr, failing).Offers("STARTTLS") || ehlo(t, addr, denied).Offers("STARTTLS") {
				t.Errorf("%s: wrong answers", name)
			}
			if code, body := g.getPage(t, "/healthz"); code != 200 {
				t.Errorf("%s: %d %s", name, code, body)
			}
		}
	}
	good := daemons["good"]
	for range 3 {
		c, err := mtatest.Dial(soon(t), p.Addr("good"), failing)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Banner(); err != nil {
			t.Fatal(err)
		}
		if r, err := c.EHLO("client.example"); err != nil || !r.Offers("STARTTLS") {
			t.Fatalf("%v, %v", r, err)
		}
		if r, err := c.Command("STARTTLS"); err != nil || r.Code != 220 {
			t.Fatalf("%v, %v", r, err)
		}
		if _, err := c.HandshakeAs(tls.VersionTLS12); err == nil {
			t.Error("TLS 1.2 works")
		}
		c.Close()
	}
	// Only after a minute are the sessions known not to be those of a scanner.
	ctx, cancel := context.WithTimeout(t.Context(), 3*testenv.Soon)
	defer cancel()
	if err := testenv.Await(ctx, func() (bool, error) {
		_, body := good.getPage(t, "/api/v1/clients?addr="+failing)
		return strings.Contains(body, `"class": "unsupported-protocol"`) && strings.Contains(body, `"count": 3`), nil
	}); err != nil {
		t.Fatalf("the failures are not known: %v", err)
	}
	if got := good.metrics(t, `ehlogate_client_tls_failures_total\{class="unsupported-protocol",mta="postfix"\} .*`); !slices.Equal(got, []string{`ehlogate_client_tls_failures_total{class="unsupported-protocol",mta="postfix"} 3`}) {
		t.Errorf("got %q", got)
	}
	if got := good.metrics(t, `ehlogate_log_unread_lines_total.* 0$`); len(got) != 1 {
		t.Errorf("not understood: %q", good.metrics(t, `ehlogate_log_.*`))
	}
	for name, g := range daemons {
		if name == "good" || name == "garbage" {
			continue
		}
		testenv.Eventually(t, name+": it is degraded", func() bool {
			code, body := g.getPage(t, "/healthz")
			return code == 200 && strings.Contains(body, `"status": "degraded"`) && strings.Contains(body, paths[name])
		})
		if ehlo(t, p.Addr(strings.ReplaceAll(name, " ", "")), denied).Offers("STARTTLS") {
			t.Errorf("%s: a suppressed client is offered STARTTLS", name)
		}
	}
}
