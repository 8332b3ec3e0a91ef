package mtatest_test

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// oldLists is the section of examples/legacy-tls, and oldFiles its list, as they are before the first edit.
func oldLists(t *testing.T) (lists string, files map[string]string) {
	return example(t, "legacy-tls/list.toml"), map[string]string{"lists/legacy.list": example(t, "legacy-tls/legacy.list")}
}

// The clients of these tests: of each server, one that is put on the list, and one that is not.
const (
	oldClient   = "127.0.0.30"
	otherClient = "127.0.0.31"
)

// sendOver delivers a message as a client that speaks one version of TLS alone. It returns the error of the handshake; all
// else must go well. A client whose handshake fails delivers in the clear.
func sendOver(t *testing.T, addr, source string, version uint16) (handshake error) {
	t.Helper()
	for _, secure := range []bool{true, false} {
		c := hello(t, addr, source, "client.example", true)
		defer c.Close()
		if secure {
			if r, err := c.Command("STARTTLS"); err != nil || r.Code != 220 {
				t.Fatalf("%s with %s: STARTTLS: %v, %v", source, addr, r, err)
			}
			if _, handshake = c.HandshakeAs(version); handshake != nil {
				continue
			}
			if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
				t.Errorf("%s with %s: EHLO over TLS: %v, %v", source, addr, r, err)
			}
		}
		if r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: x\n\nhello\n"); err != nil || r.Code != 250 {
			t.Errorf("%s with %s: a message (over TLS: %v): %v, %v", source, addr, secure, r, err)
		}
		return handshake
	}
	return handshake
}

// wantOld checks which versions of TLS the server speaks with a client: old ones only if that is wanted, and 1.2 and 1.3
// always.
func wantOld(t *testing.T, what, addr, source string, want bool) {
	t.Helper()
	for version, want := range map[uint16]bool{tls.VersionTLS10: want, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if err := sendOver(t, addr, source, version); (err == nil) != want {
			t.Errorf("%s: %s with %s, %s: got %v, want a handshake: %v", what, source, addr, tls.VersionName(version), err, want)
		}
	}
}

// oldTLS is a mail server that queries the map tls_profile.
type oldTLS struct {
	addr, addr6 string
	daemon      *daemon
}

// list replaces the list, and waits until it is in force.
func (o oldTLS) list(t *testing.T, addrs ...string) {
	t.Helper()
	text := "# clients\n"
	for _, a := range addrs {
		text += a + "\n"
	}
	mark := o.daemon.Log.Mark()
	o.daemon.write(t, "lists/legacy.list", text)
	if _, err := o.daemon.Log.Await(soon(t), regexp.MustCompile(fmt.Sprintf(`list loaded.*entries=%d .*list=legacy`, len(addrs))), mark); err != nil {
		t.Fatal(err)
	}
}

// check plays a client that is put on the list and taken off it, and another one; and both while ehlogate is down, hangs and
// serves again.
func (o oldTLS) check(t *testing.T) {
	want := func(what string, listed bool) {
		t.Helper()
		wantOld(t, what, o.addr, oldClient, listed)
		wantOld(t, what, o.addr6, "::1", listed)
		wantOld(t, what, o.addr, otherClient, false)
	}
	want("no list has it", false)
	o.list(t, oldClient, "::1")
	want("listed", true)
	if err := o.daemon.Kill(soon(t)); err != nil {
		t.Fatal(err)
	}
	want("ehlogate is killed", false)
	if err := o.daemon.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	want("ehlogate serves again", true)
	o.list(t)
	want("taken off", false)
}

// TestLegacyExim has an Exim with the configuration of examples/legacy-tls speak TLS 1.0 to the clients on a list alone.
func TestLegacyExim(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	lists, files := oldLists(t)
	g := startDaemon(t, "legacy-exim", "", nil, lists, files)
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	e := runExim(t, ports[0], onlyPorts(t, "legacy-tls/exim.conf", map[string]string{
		"127.0.0.1:10042": g.tcp, "{$received_port}{25}": fmt.Sprintf("{$received_port}{%d}", ports[0]),
	}))
	o := oldTLS{e.Addr(), e.Addr6(), g}
	o.check(t)
	o.list(t, oldClient)
	t.Run("ehlogate hangs", func(t *testing.T) {
		if err := g.Hang(soon(t)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for source, version := range map[string]uint16{oldClient: tls.VersionTLS10, otherClient: tls.VersionTLS13} {
			if err := sendOver(t, o.addr, source, version); (err == nil) != (source == otherClient) {
				t.Errorf("%s: %v", source, err)
			}
		}
		if took := time.Since(begin); took < 4*time.Second || took > patience {
			t.Errorf("two handshakes took %v, want 2 s each", took)
		}
		if err := g.Resume(); err != nil {
			t.Fatal(err)
		}
		wantOld(t, "ehlogate runs on", o.addr, oldClient, true)
	})
	t.Run("settings of GnuTLS for all programs", func(t *testing.T) {
		for config, want := range map[string]bool{
			"[overrides]\ndisabled-version = tls1.0\n": false, "[overrides]\ndisabled-version = tls1.1\n": true, "[overrides]\ndisabled-version = TLS1.0\n": false,
		} {
			ports, err := mtatest.FreePorts(1)
			if err != nil {
				t.Fatal(err)
			}
			e := runEximWith(t, mtatest.EximConfig{Dir: tempDir(t), Port: ports[0], Etc: map[string]string{"gnutls/config": config},
				Main: onlyPorts(t, "legacy-tls/exim.conf", map[string]string{"127.0.0.1:10042": g.tcp, "{$received_port}{25}": fmt.Sprintf("{$received_port}{%d}", ports[0])})})
			wantOld(t, "with "+config, e.Addr(), oldClient, want)
			wantOld(t, "with "+config, e.Addr(), otherClient, false)
		}
	})
	t.Run("odd answers", func(t *testing.T) {
		ports, err := mtatest.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		addr, answer := answers(t)
		odd := runExim(t, ports[0], onlyPorts(t, "legacy-tls/exim.conf", map[string]string{
			"127.0.0.1:10042": addr, "{$received_port}{25}": fmt.Sprintf("{$received_port}{%d}", ports[0]),
		}))
		for _, text := range []string{"", "200 \n", "200 legacyx\n", "500 200 legacy\n", "400 legacy\n", "\x00\xff}{", "x\n200 legacy\n", strings.Repeat("legacy", 1<<14)} {
			answer(text)
			wantOld(t, fmt.Sprintf("the answer %.20q", text), odd.Addr(), oldClient, false)
		}
	})
	t.Run("as Debian generates it", func(t *testing.T) {
		ports, err := mtatest.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		e, err := mtatest.NewExim(mtatest.EximConfig{Dir: tempDir(t), Port: ports[0]})
		if err != nil {
			t.Fatal(err)
		}
		own := fmt.Sprintf("daemon_smtp_ports = %d\nsmtp_banner = own\n", ports[0])
		if err := e.UseDebian(soon(t), own+onlyPorts(t, "legacy-tls/exim.conf", map[string]string{
			"127.0.0.1:10042": g.tcp, "{$received_port}{25}": fmt.Sprintf("{$received_port}{%d}", ports[0]),
		}), false, "127.0.0.1 ; ::1"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Stop(soon(t)); err != nil {
				t.Error(err)
			}
		})
		if err := e.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
		c, err := mtatest.Dial(soon(t), e.Addr(), otherClient)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if r, err := c.Banner(); err != nil || r.Code != 220 || r.Text[0] != "own" {
			t.Errorf("banner: %v, %v; want the operator's", r, err)
		}
		wantOld(t, "as Debian generates it", e.Addr(), oldClient, true)
		wantOld(t, "as Debian generates it", e.Addr(), otherClient, false)
	})
	t.Run("another port", func(t *testing.T) {
		ports, err := mtatest.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		other := runExim(t, ports[0], onlyPorts(t, "legacy-tls/exim.conf", map[string]string{"127.0.0.1:10042": g.tcp}))
		wantOld(t, "not port 25", other.Addr(), oldClient, false)
	})
}
