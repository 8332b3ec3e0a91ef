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
)

// say tells what is seen: to who runs "make demo-sending" at once, else into the log of the test.
func say(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("STAGE_SAY") != "" {
		fmt.Printf(format+"\n", args...)
		return
	}
	t.Logf(format, args...)
}

// visit is what a machine inside sees of the server outside that it dialled.
type visit struct {
	banner   string // the name of who answers
	offered  bool   // STARTTLS
	starttls mtatest.Reply
	cert     []byte // of who answers; nil without TLS
	reply    mtatest.Reply
	mark     string // in the message
}

// visit dials the server outside from a machine inside, makes use of STARTTLS if it can, and hands over a message.
func (s *sending) visit(t *testing.T, source, to, body string) (v visit) {
	t.Helper()
	addr := net.JoinHostPort(outsideMX, "25")
	if strings.Contains(source, ":") {
		addr = net.JoinHostPort(outsideMX6, "25")
	}
	c, err := s.dial(t, s.inside, source, addr)
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

// arrived waits for the message of a visit, and returns the first of its Received lines, which the server outside wrote, and
// the next, of the gateway, if that had it.
func (s *sending) arrived(t *testing.T, v visit) (outside, inside string) {
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

// standing is what is done about a machine.
type standing int

const (
	isDenied standing = iota // intercepted, in the clear up to the gateway
	isUnknown
	isTrusted // not intercepted
)

// is checks all that a machine of a class sees, and what becomes of its message.
func (s *sending) is(t *testing.T, source string, want standing) {
	t.Helper()
	v := s.visit(t, source, "you@outside.test", "")
	outside, inside := s.arrived(t, v)
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
	// On the way across the Internet it is encrypted, whoever sent it.
	if !strings.Contains(outside, "with ESMTPS id") || !strings.Contains(outside, "using TLSv1.3") {
		t.Errorf("%s: the server outside says %q", source, outside)
	}
	// What the gateway had, it inspected, and it says from whom it is.
	if s.inspector.saw(v.mark) != (want != isTrusted) {
		t.Errorf("%s: inspected: %v", source, s.inspector.saw(v.mark))
	}
	hop := map[standing]string{isDenied: " with ESMTP id ", isUnknown: " with ESMTPS id "}[want]
	from := "[" + source + "]"
	if strings.Contains(source, ":") {
		from = "[IPv6:" + source + "]"
	}
	if want == isTrusted {
		if inside != "" || !strings.Contains(outside, from) {
			t.Errorf("%s: came from another: %q, %q", source, outside, inside)
		}
	} else if !strings.Contains(inside, from) || !strings.Contains(inside, "by "+gatewayHost) || !strings.Contains(inside, hop) {
		t.Errorf("%s: the gateway says %q, want %q, %q", source, inside, from, hop)
	}
	say(t, "  %-15s dialled %s\n    answered by       %s", source, outsideHost, v.banner)
	switch {
	case v.cert == nil:
		say(t, "    STARTTLS          not offered; the command: %v", v.starttls)
	case want == isTrusted:
		say(t, "    STARTTLS          offered; the certificate is that of %s: TLS from end to end", host)
	default:
		say(t, "    STARTTLS          offered; the certificate is that of %s", host)
	}
	say(t, "    inspected         %v", s.inspector.saw(v.mark))
	say(t, "    arrived           %s", hops.ReplaceAllString(outside, "$1, over $2"))
}

// hops finds in a Received line of Postfix from whom it is, and over what.
var hops = regexp.MustCompile(`^Received: (from \S+) .*\(using (\S+) .*`)

// TestSending builds the network of examples/sending-network from its files, in namespaces, and plays its machines.
func TestSending(t *testing.T) {
	t.Parallel()
	s := newSending(t)

	say(t, "\nThree machines inside, and what becomes of them:")
	t.Run("three machines", func(t *testing.T) {
		for want, source := range [...]string{isDenied: bot, isUnknown: unknownMachine, isTrusted: trustedMachine} {
			s.is(t, source, standing(want))
		}
		say(t, "\nThe same over IPv6:")
		for want, source := range [...]string{isDenied: bot6, isUnknown: unknownMachine6, isTrusted: trustedMachine6} {
			s.is(t, source, standing(want))
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
			c, err := s.dial(t, s.inside, bot, net.JoinHostPort(outsideMX, port))
			if err != nil {
				t.Fatal(err)
			}
			if r, err := c.Banner(); err != nil || !strings.HasPrefix(r.Text[0], outsideHost) {
				t.Errorf("port %s: %v, %v", port, r, err)
			}
		}
	})
	t.Run("doctor", func(t *testing.T) {
		if out := s.must(t, s.gate.Path, "check", "-c", filepath.Join(s.dir, "ehlogate.toml")); strings.Contains(out, "warning") {
			t.Errorf("check:\n%s", out)
		}
		out := s.must(t, s.gate.Path, "doctor", "-c", filepath.Join(s.dir, "ehlogate.toml"), "--postfix-config", s.postfix.Config)
		t.Log(out)
		if !strings.Contains(out, "nothing found") {
			t.Errorf("about the gateway:\n%s", out)
		}
		if out := s.must(t, "sh", "-c", "postconf -c "+s.postfix.Config+" 2>&1 >/dev/null"); out != "" {
			t.Errorf("postconf complains:\n%s", out)
		}
	})
	t.Run("without HELO", func(t *testing.T) { s.withoutHELO(t) })
	t.Run("content", func(t *testing.T) { s.content(t) })
	t.Run("too many connections", func(t *testing.T) { s.tooMany(t) })
	t.Run("DANE", func(t *testing.T) { s.dane(t) })
	t.Run("edits", func(t *testing.T) { s.edits(t) })
	t.Run("nothing is emptied", func(t *testing.T) { s.unavailable(t) })
	t.Run("a loop", func(t *testing.T) { s.loop(t) })
	t.Run("no open relay", func(t *testing.T) { s.relay(t) })
	t.Run("only the denied", func(t *testing.T) { s.onlyDenied(t) })
	t.Run("killed", func(t *testing.T) { s.killed(t) })
	t.Run("without Postfix", func(t *testing.T) { s.withoutPostfix(t) })
	if troubles, err := s.postfix.Maillog().Lines(regexp.MustCompile(`\b(panic|fatal|error): `), 0); err != nil || len(troubles) > 0 {
		t.Errorf("the gateway's Postfix: %q, %v", troubles, err)
	}
}
