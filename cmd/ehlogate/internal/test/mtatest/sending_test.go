package mtatest_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// narrate prints what the test sees: to standard output for "make demo-sending", else to the log of the test.
func narrate(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("EHLOGATE_TEST_VERBOSE") != "" {
		fmt.Printf(format+"\n", args...)
		return
	}
	t.Logf(format, args...)
}

// sentMail is what a machine inside sees when it sends mail to a server outside.
type sentMail struct {
	banner   string // the name of the server that answers
	offered  bool   // STARTTLS
	starttls mtatest.Reply
	cert     []byte // of the server that answers; nil without TLS
	reply    mtatest.Reply
	mark     string // in the message
}

// sendMail dials the server outside from a machine inside, uses STARTTLS if it can, and sends a message.
func (s *sending) sendMail(t *testing.T, source, to, body string) (v sentMail) {
	t.Helper()
	addr := net.JoinHostPort(outsideMX, "25")
	if strings.Contains(source, ":") {
		addr = net.JoinHostPort(outsideMX6, "25")
	}
	c, err := s.connect(t, s.inside, source, addr)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	defer c.Close()
	r, err := c.Banner()
	if err != nil || r.Code != 220 {
		t.Fatalf("%s: banner %v, %v", source, r, err)
	}
	v.banner, _, _ = strings.Cut(r.Text[0], " ")
	if r, err = c.EHLO("machine.customer.example"); err != nil || r.Code != 250 {
		t.Fatalf("%s: EHLO %v, %v", source, r, err)
	}
	v.offered = r.Offers("STARTTLS")
	var state tls.ConnectionState
	if v.starttls, state, err = c.STARTTLS(); err != nil {
		t.Fatalf("%s: STARTTLS %v", source, err)
	}
	if state.HandshakeComplete {
		v.cert = state.PeerCertificates[0].Raw
		if r, err := c.EHLO("machine.customer.example"); err != nil || r.Code != 250 {
			t.Fatalf("%s: EHLO over TLS %v, %v", source, r, err)
		}
	}
	v.mark = fmt.Sprintf("from %s at %d", source, time.Now().UnixNano())
	if v.reply, err = c.Deliver("someone@customer.example", to, "Subject: "+v.mark+"\n\n"+v.mark+"\n"+body+"\n"); err != nil {
		t.Fatalf("%s: message %v", source, err)
	}
	return v
}

// awaitMail waits until a message arrives. It returns its first Received line, by the server outside, and the rest of them,
// by the gateway if that had it.
func (s *sending) awaitMail(t *testing.T, v sentMail) (outside, inside string) {
	t.Helper()
	if v.reply.Code != 250 {
		t.Fatalf("the message %s: %v", v.mark, v.reply)
	}
	mail, err := s.mx.AwaitMail(soon(t), regexp.MustCompile("(?m)^Subject: "+regexp.QuoteMeta(v.mark)+"$"))
	if err != nil {
		t.Fatal(err)
	}
	received := regexp.MustCompile(`(?m)^Received: .*\n(?:[ \t]+.*\n)*`).FindAllString(mail, -1)
	for i, r := range received {
		received[i] = strings.Join(strings.Fields(r), " ")
	}
	return received[0], strings.Join(received[1:], "\n")
}

// standing is how the gateway treats a machine.
type standing int

const (
	isDenied standing = iota // intercepted, in the clear up to the gateway
	isUnknown
	isTrusted // not intercepted
)

// checkStanding checks all that a machine sees, and the way of its message.
func (s *sending) checkStanding(t *testing.T, source string, want standing) {
	t.Helper()
	v := s.sendMail(t, source, "you@outside.test", "")
	outside, inside := s.awaitMail(t, v)
	host, p := gatewayHost, s.postfix
	if want == isTrusted {
		host, p = outsideHost, s.mx
	}
	if v.banner != host {
		t.Errorf("%s: %s answers, want %s", source, v.banner, host)
	}
	if want == isDenied {
		if v.offered || v.cert != nil || v.starttls.Code != 502 {
			t.Errorf("%s: STARTTLS is offered: %v, %v; want it hidden", source, v.offered, v.starttls)
		}
	} else if !v.offered || !bytes.Equal(v.cert, certificate(t, p).Raw) {
		t.Errorf("%s: STARTTLS is offered: %v, with the certificate of %s: %v", source, v.offered, host, bytes.Equal(v.cert, certificate(t, p).Raw))
	}
	// Every message crosses the Internet over TLS.
	if !strings.Contains(outside, "with ESMTPS id") || !strings.Contains(outside, "using TLSv1.3") {
		t.Errorf("%s: the server outside says %q", source, outside)
	}
	// The gateway inspected the messages it had, and its Received line has the address of the machine.
	if s.inspector.hasSeen(v.mark) != (want != isTrusted) {
		t.Errorf("%s: inspected: %v", source, s.inspector.hasSeen(v.mark))
	}
	hop := map[standing]string{isDenied: " with ESMTP id ", isUnknown: " with ESMTPS id "}[want]
	from := "[" + source + "]"
	if strings.Contains(source, ":") {
		from = "[IPv6:" + source + "]"
	}
	if want == isTrusted {
		if inside != "" || !strings.Contains(outside, from) {
			t.Errorf("%s: the message came another way: %q, %q", source, outside, inside)
		}
	} else if !strings.Contains(inside, from) || !strings.Contains(inside, "by "+gatewayHost) || !strings.Contains(inside, hop) {
		t.Errorf("%s: the gateway says %q, want %q, %q", source, inside, from, hop)
	}
	narrate(t, "  %-15s dialled %s\n    answered by       %s", source, outsideHost, v.banner)
	switch {
	case v.cert == nil:
		narrate(t, "    STARTTLS          not offered; the command: %v", v.starttls)
	case want == isTrusted:
		narrate(t, "    STARTTLS          offered; the certificate is that of %s: TLS from end to end", host)
	default:
		narrate(t, "    STARTTLS          offered; the certificate is that of %s", host)
	}
	narrate(t, "    inspected         %v", s.inspector.hasSeen(v.mark))
	narrate(t, "    arrived           %s", hops.ReplaceAllString(outside, "$1, over $2"))
}

// hops finds the client and the TLS version in a Received line of Postfix.
var hops = regexp.MustCompile(`^Received: (from \S+) .*\(using (\S+) .*`)

// TestSending builds the network of examples/sending-network from its files, in namespaces, and sends mail from its machines.
func TestSending(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "nft", "unbound")
	t.Parallel()
	s := newSending(t)

	narrate(t, "\nThree machines inside, and how the gateway treats them:")
	t.Run("three machines", func(t *testing.T) {
		for want, source := range [...]string{isDenied: bot, isUnknown: unknownMachine, isTrusted: trustedMachine} {
			s.checkStanding(t, source, standing(want))
		}
		narrate(t, "\nThe same over IPv6:")
		for want, source := range [...]string{isDenied: bot6, isUnknown: unknownMachine6, isTrusted: trustedMachine6} {
			s.checkStanding(t, source, standing(want))
		}
		if _, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`Verified TLS connection established to mx\.outside\.test`), 0); err != nil {
			t.Error(err)
		}
		if _, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`postfix/port25/smtpd.*starttls=suppress list=denied entry=192\.0\.2\.10;.*\[192\.0\.2\.10\]|\[192\.0\.2\.10\].*starttls=suppress list=denied`), 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("submission", func(t *testing.T) {
		for _, port := range []string{"587", "465"} {
			c, err := s.connect(t, s.inside, bot, net.JoinHostPort(outsideMX, port))
			if err != nil {
				t.Fatal(err)
			}
			if r, err := c.Banner(); err != nil || !strings.HasPrefix(r.Text[0], outsideHost) {
				t.Errorf("port %s: %v, %v", port, r, err)
			}
		}
	})
	t.Run("doctor", func(t *testing.T) {
		if out := s.mustRun(t, s.daemon.Path, "check", "-c", filepath.Join(s.dir, "ehlogate.toml")); strings.Contains(out, "warning") {
			t.Errorf("check:\n%s", out)
		}
		out := s.mustRun(t, s.daemon.Path, "doctor", "-c", filepath.Join(s.dir, "ehlogate.toml"), "--postfix-config", s.postfix.Config)
		t.Log(out)
		if !strings.Contains(out, "nothing found") {
			t.Errorf("about the gateway:\n%s", out)
		}
		if out := s.mustRun(t, "sh", "-c", "postconf -c "+s.postfix.Config+" 2>&1 >/dev/null"); out != "" {
			t.Errorf("postconf complains:\n%s", out)
		}
	})
	t.Run("without HELO", func(t *testing.T) { s.testWithoutHELO(t) })
	t.Run("content", func(t *testing.T) { s.testContent(t) })
	t.Run("too many connections", func(t *testing.T) { s.testTooManyConnections(t) })
	t.Run("DANE", func(t *testing.T) { s.testDANE(t) })
	t.Run("edits", func(t *testing.T) { s.testEdits(t) })
	t.Run("nothing is emptied", func(t *testing.T) { s.testUnreadableList(t) })
	t.Run("a loop", func(t *testing.T) { s.testLoop(t) })
	t.Run("no open relay", func(t *testing.T) { s.testNoOpenRelay(t) })
	t.Run("only the denied", func(t *testing.T) { s.testOnlyDenied(t) })
	t.Run("killed", func(t *testing.T) { s.testKilled(t) })
	t.Run("without Postfix", func(t *testing.T) { s.testWithoutPostfix(t) })
	if troubles, err := s.postfix.Maillog().Lines(regexp.MustCompile(`\b(panic|fatal|error): `), 0); err != nil || len(troubles) > 0 {
		t.Errorf("the gateway's Postfix: %q, %v", troubles, err)
	}
}
