package mtatest_test

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestPostfixAssumptions keeps proving what the design takes for granted about Postfix's own map clients, with a map server that
// also gives the answers that ehlogate must not give.
func TestPostfixAssumptions(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	fake := newFake(t, map[string]string{
		"starttls:127.0.0.1": "starttls",
		"starttls:127.0.0.2": "",
		"starttls:127.0.0.3": "silent-discard",
	}, "OK ")
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	cf := func(backup string) string {
		return fmt.Sprintf("memcache = inet:%s\nkey_format = starttls:%%s\nmax_try = 1\ntimeout = 1\nbackup = %s\n", fake.memcache, backup)
	}
	uses := func(name, table string) mtatest.Service {
		return mtatest.Service{Name: name, Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": table}}
	}
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir: dir,
		Services: []mtatest.Service{
			uses("memcache", "memcache:"+etc+"/static.cf"),
			uses("nobackup", "memcache:"+etc+"/broken.cf"),
			uses("unproxied", "proxy:memcache:"+etc+"/static.cf"),
			uses("socketmap", "socketmap:inet:"+fake.socketmap+":starttls"),
		},
		Files: map[string]string{
			"static.cf":   cf("cidr:" + etc + "/backup.cidr"),
			"broken.cf":   cf("cidr:" + etc + "/missing.cidr"),
			"backup.cidr": "127.0.0.0/24 dsn\n",
		},
	})
	mc := p.Addr("memcache")

	t.Run("a value decides alone", func(t *testing.T) {
		if r := ehlo(t, mc, "127.0.0.1"); r.Offers("starttls") || !r.Offers("dsn") {
			t.Errorf("want STARTTLS alone hidden: %v", r)
		}
		if fake.wasAsked("set starttls:127.0.0.1 0 3600 3 dsn") {
			t.Error("got the answer of the backup, want the value of ehlogate")
		}
	})
	t.Run("END asks the backup and sets its answer", func(t *testing.T) {
		if r := ehlo(t, mc, "127.0.0.9"); !r.Offers("starttls") || r.Offers("dsn") {
			t.Errorf("want the backup's answer, DSN hidden: %v", r)
		}
		if !fake.wasAsked("set starttls:127.0.0.9 0 3600 3 dsn") {
			t.Errorf("no set after the backup's hit; heard %q", fake.heard)
		}
	})
	t.Run("silent-discard offers everything without the backup", func(t *testing.T) {
		if r := ehlo(t, mc, "127.0.0.3"); !r.Offers("starttls") || !r.Offers("dsn") {
			t.Errorf("want nothing hidden: %v", r)
		}
	})
	t.Run("a value of no bytes is a 421", func(t *testing.T) { refused(t, mc, "127.0.0.2", 421) })
	t.Run("an empty OK is a 421", func(t *testing.T) { refused(t, p.Addr("socketmap"), "127.0.0.1", 421) })
	t.Run("a backup that cannot be opened is a 421 for END, and harmless for a value", func(t *testing.T) {
		refused(t, p.Addr("nobackup"), "127.0.0.9", 421)
		if r := ehlo(t, p.Addr("nobackup"), "127.0.0.1"); r.Offers("starttls") {
			t.Errorf("want STARTTLS hidden: %v", r)
		}
	})
	t.Run("proxy:memcache outside proxy_read_maps", func(t *testing.T) { // up to Postfix 3.10 no banner, then 421
		r, err := mtatest.Session(soon(t), p.Addr("unproxied"), "127.0.0.1", "client.example")
		if err == nil && r.Reply.Code == 250 {
			t.Errorf("got %v, want no proper reply to EHLO", r.Reply)
		}
		if _, err := p.Maillog().Await(soon(t), regexp.MustCompile(`unproxied/smtpd.*: proxymap service is not configured for table`), 0); err != nil {
			t.Error(err)
		}
	})
}

// TestMoreAssumptions proves what the design says about tables that no server answers, and about files behind memcache.
func TestMoreAssumptions(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	fake := newFake(t, map[string]string{"starttls:127.0.0.1": "starttls", "starttls:a b": "starttls"}, "")
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dead := fmt.Sprintf("inet:127.0.0.1:%d", ports[0])
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	filter := func(name string) mtatest.Service {
		return mtatest.Service{Name: name, Options: map[string]string{
			"smtpd_command_filter": "pipemap:{regexp:" + etc + "/ehlo.regexp, memcache:" + etc + "/" + name + ".cf}",
		}}
	}
	one := hides("one", "memcache:"+etc+"/one.cf")
	one.Procs = 1
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir:      dir,
		Services: []mtatest.Service{filter("helo"), filter("bare"), one},
		Main:     "eg_memcache = inet:" + fake.memcache + "\neg_key_format = starttls:%s",
		Files: map[string]string{
			"ehlo.regexp": "/^EHLO[[:space:]]+([^[:space:]]+)[[:space:]]*$/ $1\n",
			"helo.cf":     memcacheCF(dead, "helo:%s", 1, "cidr:/dev/null"),
			"bare.cf":     "memcache = " + dead + "\nkey_format = helo:%s\n",
			"one.cf":      memcacheCF("inet:"+fake.memcache, "starttls:%s", 1, "cidr:"+etc+"/backup.cidr"),
			"backup.cidr": "127.0.0.9 starttls\n",
		},
	})
	t.Run("a command filter with a backup passes EHLO when no server answers, without one it is a 421", func(t *testing.T) {
		if r := ehlo(t, p.Addr("helo"), "127.0.0.1"); !r.Offers("STARTTLS") {
			t.Errorf("want EHLO to pass: %v", r)
		}
		refused(t, p.Addr("bare"), "127.0.0.1", 421)
	})
	t.Run("parameters may stand in main.cf", func(t *testing.T) {
		if value, found, err := p.Postmap(soon(t), "127.0.0.1", "memcache:eg"); err != nil || !found || value != "starttls" {
			t.Errorf("got %q, %v, %v", value, found, err)
		}
	})
	t.Run("a key with a space is never asked", func(t *testing.T) {
		if value, found, err := p.Postmap(soon(t), "a b", "memcache:eg"); err != nil || found || fake.wasAsked("get starttls:a b") {
			t.Errorf("got %q, %v, %v", value, found, err)
		}
	})
	t.Run("a smtpd notices a changed backup after a reload only", func(t *testing.T) {
		if r := ehlo(t, p.Addr("one"), "127.0.0.9"); r.Offers("STARTTLS") {
			t.Fatalf("want the backup's answer: %v", r)
		}
		backup := etc + "/backup.cidr"
		if err := os.WriteFile(backup, []byte("# nothing\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := ehlo(t, p.Addr("one"), "127.0.0.9"); r.Offers("STARTTLS") {
			t.Errorf("want the answer of the old backup: %v", r)
		}
		if err := p.Reload(soon(t)); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, "the new backup answers", func() bool { return ehlo(t, p.Addr("one"), "127.0.0.9").Offers("STARTTLS") })
	})
}

// TestStaleConnection shows what a smtpd makes of a connection to ehlogate that ended, by a restart, while the smtpd was busy
// with a client: it asks over it at its next question. (An idle one notices the end, and connects anew.)
func TestStaleConnection(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	fake := newFake(t, map[string]string{"starttls:127.0.0.1": "starttls", "starttls:192.0.2.1": "starttls"}, "OK starttls")
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	cases := []struct {
		service, table string
		backup         bool          // the backup answers
		wait           time.Duration // for the answer
	}{
		{"one", "memcache:" + etc + "/one.cf", true, 0},
		{"two", "memcache:" + etc + "/two.cf", false, time.Second},
		{"proxy", "proxy:memcache:" + etc + "/one.cf", false, 0},
		{"socketmap", "socketmap:inet:" + fake.socketmap + ":starttls", false, 0},
	}
	cfg := mtatest.PostfixConfig{
		Dir:  dir,
		Main: "proxy_read_maps = proxy:memcache:" + etc + "/one.cf",
		Files: map[string]string{
			"one.cf":      memcacheCF("inet:"+fake.memcache, "starttls:%s", 1, "cidr:"+etc+"/backup.cidr"),
			"two.cf":      memcacheCF("inet:"+fake.memcache, "starttls:%s", 2, "cidr:"+etc+"/backup.cidr"),
			"backup.cidr": "0.0.0.0/0 dsn\n",
		},
	}
	for _, c := range cases {
		cfg.Services = append(cfg.Services, hides(c.service, c.table))
	}
	p := startPostfix(t, cfg)
	for _, c := range cases {
		var r mtatest.Reply
		play := func() time.Duration {
			fake.dropConns() // what the cases before have left
			conn, err := mtatest.Dial(soon(t), p.Addr(c.service), "127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if r, err := conn.Banner(); err != nil || r.Code != 220 {
				t.Fatalf("%s: banner: %v, %v", c.service, r, err)
			}
			if c.service == "proxy" {
				fake.leave(t) // proxymap has nothing else to do, and notices
			} else {
				fake.dropConns()
			}
			start := time.Now()
			if r, err := conn.XCLIENT(netip.MustParseAddr("192.0.2.1")); err != nil || r.Code != 220 {
				t.Fatalf("%s: XCLIENT: %v, %v", c.service, r, err)
			}
			if r, err = conn.EHLO("client.example"); err != nil || r.Code != 250 {
				t.Fatalf("%s: EHLO: %v, %v", c.service, r, err)
			}
			return time.Since(start)
		}
		wait := quickest(c.wait+time.Second, play)
		if r.Offers("STARTTLS") != c.backup || r.Offers("DSN") == c.backup || wait < c.wait || c.wait == 0 && wait > time.Second {
			t.Errorf("%s: want the backup's answer %v after %v; got %v after %v", c.service, c.backup, c.wait, r, wait)
		}
	}
}

// refused plays a session that must end with a code in place of the reply to EHLO.
func refused(t *testing.T, addr, source string, code int) {
	t.Helper()
	r, err := mtatest.Session(soon(t), addr, source, "client.example")
	if err == nil || r.Reply.Code != code {
		t.Errorf("session from %s with %s: want %d, got %v, %v", source, addr, code, r.Reply, err)
	}
}
