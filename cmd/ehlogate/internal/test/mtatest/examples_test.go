package mtatest_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

const examples = "../../../../../examples"

func example(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// startExampleDaemon runs the example config with the example lists. Only the ports are others.
func startExampleDaemon(t *testing.T) *daemon {
	t.Helper()
	path, err := mtatest.Program(testenv.RacePrograms)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := mtatest.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	addr := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	g := &daemon{dir: filepath.Join(tempDir(t), "examples"), memcache: addr(0), http: addr(1), policy: addr(2), milter: addr(3)}
	g.config = g.ports(example(t, "ehlogate.toml"))
	g.write(t, "ehlogate.toml", g.config)
	for _, list := range []string{"lists/allow.list", "lists/deny.list"} {
		g.write(t, list, example(t, list))
	}
	config := filepath.Join(g.dir, "ehlogate.toml")
	out, err := exec.CommandContext(soon(t), path, "check", "-c", config).CombinedOutput()
	if err != nil || strings.Contains(string(out), "warning") {
		t.Errorf("check: %v\n%s", err, out)
	}
	g.Daemon = mtatest.StartFixture(t, mtatest.Fixture{
		Dir: g.dir, Config: g.config, Race: testenv.RacePrograms, Ready: mtatest.ReadyDial(g.memcache, g.http, g.policy, g.milter),
	})
	return g
}

// ports puts the daemon's ports into an example, and in the place of the package's sockets.
func (g *daemon) ports(text string) string {
	return strings.NewReplacer("unix:ehlogate/memcache", "inet:"+g.memcache, "unix:ehlogate/policy", "inet:"+g.policy,
		"unix:ehlogate/milter", "inet:"+g.milter, "127.0.0.1:10046", g.memcache, "127.0.0.1:10045", g.http,
		"127.0.0.1:10043", g.policy, "127.0.0.1:10044", g.milter).Replace(text)
}

// TestExamples runs a Postfix on the files in examples/postfix, as they stand and with all that is commented out in
// master.cf, against ehlogate on the example config.
func TestExamples(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	g := startExampleDaemon(t)
	ports, err := mtatest.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	plain, submission, screen, all := ports[0], ports[1], ports[2], ports[3]
	options := g.ports(example(t, "postfix/master.cf"))
	more := regexp.MustCompile(`(?m)^#  -o`).ReplaceAllString(options, "  -o")
	files := map[string]string{}
	for _, name := range []string{"ehlogate.cf", "ehlogate-helo.cf", "ehlogate-helo.regexp"} {
		files[name] = g.ports(example(t, "postfix/"+name))
	}
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir: tempDir(t),
		// What the commands in master.cf make of a main.cf without such settings.
		Main: "ehlogate_policy =\nehlogate_milter =\nsmtpd_sender_restrictions = $ehlogate_policy\nsmtpd_milters = $ehlogate_milter\npostscreen_greet_wait = 1s\n",
		// The smtpd behind postscreen has a port, too: postscreen believes no XCLIENT.
		Master: fmt.Sprintf("%d inet n - y - - smtpd\n%s\n%d inet n - y - - smtpd\n%d inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n%s\n%d inet n - y - - smtpd\n%s\n",
			plain, options, submission, screen, more, all, more),
		Files: files,
	})
	mark := g.Log.Mark()
	g.write(t, "lists/deny.list", example(t, "lists/deny.list")+"helo:ylmf-pc\n127.0.0.66 # for postscreen, which believes no XCLIENT\n")
	if _, err := g.Log.Await(soon(t), regexp.MustCompile(`list loaded.*entries=4 .*list=deny`), mark); err != nil {
		t.Fatal(err)
	}

	on := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	for _, tc := range []struct {
		port    int
		client  string
		offered bool
	}{
		{plain, "192.0.2.7", false}, {plain, "192.0.2.13", true}, {plain, "2001:db8::1", false}, {plain, "198.51.100.1", true},
		{all, "192.0.2.7", false}, {all, "198.51.100.1", true},
		{submission, "192.0.2.7", true},
	} {
		c, err := mtatest.Dial(soon(t), on(tc.port), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if r, err := c.Banner(); err != nil || r.Code != 220 {
			t.Fatalf("banner: %v, %v", r, err)
		}
		if r, err := c.XCLIENT(netip.MustParseAddr(tc.client)); err != nil || r.Code != 220 {
			t.Fatalf("XCLIENT: %v, %v", r, err)
		}
		if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 || r.Offers("STARTTLS") != tc.offered {
			t.Errorf("%s on port %d: %v, %v; want STARTTLS offered: %v", tc.client, tc.port, r, err, tc.offered)
		}
	}
	for source, offered := range map[string]bool{"127.0.0.66": false, "127.0.0.67": true} {
		if r := ehlo(t, on(screen), source); r.Offers("STARTTLS") != offered {
			t.Errorf("%s through postscreen: %v", source, r)
		}
	}
	for name, offered := range map[string]bool{"ylmf-pc": false, "client.example": true} {
		r, err := mtatest.Session(soon(t), on(all), "127.0.0.67", name)
		if err != nil || r.Reply.Offers("STARTTLS") != offered {
			t.Errorf("EHLO %s: %v, %v", name, r.Reply, err)
		}
	}
	// What was decided is in Postfix's log, by policy delegation.
	c, err := mtatest.Dial(soon(t), on(all), "127.0.0.66")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []func() (mtatest.Reply, error){c.Banner, func() (mtatest.Reply, error) { return c.EHLO("client.example") }} {
		if r, err := step(); err != nil || r.Code/100 != 2 {
			t.Fatalf("%v, %v", r, err)
		}
	}
	if r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: x\n\nhello\n"); err != nil || r.Code != 250 {
		t.Fatalf("%v, %v", r, err)
	}
	if _, err := p.Maillog().Await(soon(t), regexp.MustCompile(`info: RCPT.*starttls=suppress list=deny entry=127\.0\.0\.66`), 0); err != nil {
		t.Error(err)
	}
	if complaints, err := p.Maillog().Troubles(0); err != nil || len(complaints) > 0 {
		t.Errorf("Postfix complained: %q, %v", complaints, err)
	}
}

// TestExportedTable asks a real Postfix for what it finds in an exported table, for addresses around all of its borders.
func TestExportedTable(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	g := startExampleDaemon(t)
	path, err := mtatest.Program(testenv.RacePrograms)
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(g.dir, "ehlogate.cidr")
	config := filepath.Join(g.dir, "ehlogate.toml")
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t)})
	for _, def := range []string{"offer", "suppress"} {
		g.write(t, "ehlogate.toml", strings.NewReplacer(`default = "offer"`, fmt.Sprintf("default = %q", def), "domains = []", "off = true").Replace(g.config))
		if out, err := exec.CommandContext(soon(t), path, "export", "--format", "postfix-cidr", "-o", table, "-c", config).CombinedOutput(); err != nil {
			t.Fatalf("export: %v\n%s", err, out)
		}
		for _, addr := range []string{"0.0.0.0", "127.0.0.1", "192.0.1.255", "192.0.2.0", "192.0.2.12", "192.0.2.13", "192.0.2.14", "192.0.2.255",
			"192.0.3.0", "255.255.255.255", "::", "::1", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8:ffff::1", "2001:db9::"} {
			value, _, err := p.Postmap(soon(t), addr, "cidr:"+table)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(soon(t), path, "explain", addr, "--disk", "-c", config).Output()
			if err != nil {
				t.Fatal(err)
			}
			suppressed := strings.HasPrefix(string(out), addr+": suppress")
			if suppressed != slices.Contains(strings.Split(value, ", "), "starttls") {
				t.Errorf("default %s: Postfix finds %q for %s; ehlogate says\n%s", def, value, addr, out)
			}
		}
	}
}
