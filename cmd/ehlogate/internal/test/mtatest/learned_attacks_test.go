package mtatest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/fallback"
	"ehlogate/lists/test/testenv"
)

// attacks are what an attacker on the path does to the handshake of a client whose TLS works. The server sees the address of
// the client.
var attacks = map[string]handshake{
	"other ciphers in the ClientHello": changesHello(func(hello []byte) []byte {
		at := 5 + 4 + 2 + 32 // in front of the session ID
		at += 1 + int(hello[at])
		for i := 0; i < int(binary.BigEndian.Uint16(hello[at:])); i += 2 {
			binary.BigEndian.PutUint16(hello[at+2+i:], tls.TLS_RSA_WITH_RC4_128_SHA)
		}
		return hello
	}),
	"other versions in the ClientHello": changesHello(func(hello []byte) []byte {
		return bytes.Replace(hello, []byte{0, 43, 0, 5, 4, 3, 4, 3, 3}, []byte{0, 43, 0, 5, 4, 3, 1, 3, 1}, 1)
	}),
	"an alert in place of the ClientHello": changesHello(func([]byte) []byte { return alertRecord(40) }),
	"a reset": func(c *mtatest.SMTP) (state tls.ConnectionState, err error) {
		return state, errors.Join(resets(c), errors.New("reset"))
	},
}

// changesHello returns a handshake whose first record is changed on the way.
func changesHello(spoil func(hello []byte) []byte) handshake {
	return func(c *mtatest.SMTP) (tls.ConnectionState, error) {
		first := true
		over := spoiler{c.Conn(), func(record []byte) []byte {
			if first {
				first = false
				return spoil(record)
			}
			return record
		}}
		return c.HandshakeOver(over, clientConfig(nil))
	}
}

// eachServer runs a test with each mail server, and a list that suppresses.
func eachServer(t *testing.T, run func(s *learnedSite)) {
	t.Helper()
	testenv.Needs(t, "root", "Postfix", "Sendmail", "Exim", "nft")
	t.Parallel()
	for _, server := range learnedServers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			run(newLearnedSite(t, server.start, learnedSuppress))
		})
	}
}

// TestFallbackAttack: a client that completed TLS once is offered STARTTLS, whatever an attacker on the path does to its
// handshakes, as often as it takes to learn one whose TLS is broken.
func TestFallbackAttack(t *testing.T) {
	eachServer(t, func(s *learnedSite) {
		s.try(brokenClient, "before", goodTLS, overTLS13, isImmune)
		for name, attack := range attacks {
			for range 4 {
				s.awaitSpacing()
				s.try(brokenClient, name, attack, failsTLS, isImmune)
			}
		}
		s.try(brokenClient, "after", goodTLS, overTLS13, isImmune)
		if n := s.health().Entries; n != 0 {
			s.Errorf("%d clients are learned", n)
		}
	})
}

// TestFallbackScanner: a client that tries versions and ciphers one after the other, as internet.nl does, is not learned, and
// its mail gives no reason to. openssl(1) plays it.
func TestFallbackScanner(t *testing.T) {
	eachServer(t, func(s *learnedSite) {
		s.try(brokenClient, "mail in the clear", neverTLS, failsTLS, hasProofs(0))
		for range 3 {
			for _, flags := range []string{"-tls1 -cipher DEFAULT@SECLEVEL=0", "-tls1_1 -cipher DEFAULT@SECLEVEL=0", "-tls1_2 -cipher eNULL@SECLEVEL=0", "-tls1_2 -cipher PSK@SECLEVEL=0"} {
				args := append([]string{"s_client", "-connect", learnedServer + ":25", "-bind", brokenClient + ":0", "-starttls", "smtp"}, strings.Fields(flags)...)
				if out, err := s.clients.Run(soon(s.T), "openssl", args...); err == nil || !strings.Contains(out, "CONNECTED") {
					s.Fatalf("openssl %s: %v\n%s", flags, err, out)
				}
			}
			s.passTime()
			s.awaitTrue("the scanner is left alone", func() bool {
				r := s.known(brokenClient)
				return r.Entry == nil && len(r.Evidence) == 0 && strings.Contains(r.LeftAlone, "scanner")
			})
			s.awaitSpacing()
		}
		for range 3 { // nor by one way alone, from then on
			s.try(brokenClient, "one way of failing", oldTLS10, failsTLS, func(r fallback.ClientReport) bool { return r.Entry == nil && r.LeftAlone != "" })
			s.awaitSpacing()
		}
	})
}

// neverTLS is a client that hangs up after STARTTLS.
func neverTLS(c *mtatest.SMTP) (state tls.ConnectionState, err error) {
	return state, errors.Join(hangsUp(c), errors.New("hung up"))
}

// TestFallbackCertificate: when the certificate of the mail server breaks, TLS fails with all clients. Learning stops, and
// what was learned shortly before is withdrawn.
func TestFallbackCertificate(t *testing.T) {
	eachServer(t, func(s *learnedSite) {
		s.learn(brokenClient, "TLS 1.0 only", oldTLS10, "suppress")
		mark := s.daemon.Log.Mark()
		s.mta.breakCertificate(s.T)
		s.visit(hopelessClient)
		s.passTime()
		s.awaitTrue("the breaker is open", func() bool { return s.health().Breaker != "" })
		s.awaitTrue("the entry is withdrawn", func() bool { return s.known(brokenClient).Entry == nil })
		s.awaitEvent("level=warning .*fallback list: withdrawn.*client="+brokenClient, mark)
		s.awaitEvent("level=warning .*fallback list: breaker-open", mark)
		for range 4 {
			s.awaitSpacing()
			s.visit(hopelessClient)
		}
		s.passTime()
		if n := s.health().Entries; n != 0 {
			s.Errorf("%d clients are learned while the breaker is open", n)
		}
	})
}

// TestFallbackBreaker: when several clients fail for the first time within a short time, as after the operator switched TLS 1.0
// off, none is learned, and what was learned shortly before is withdrawn.
func TestFallbackBreaker(t *testing.T) {
	eachServer(t, func(s *learnedSite) {
		const old = "TLS 1.0 only"
		s.learn(brokenClient, old, oldTLS10, "suppress")
		s.try(hopelessClient, old, oldTLS10, failsTLS, hasProofs(1))
		s.try(anotherClient, old, oldTLS10, failsTLS, hasProofs(0))
		s.awaitTrue("the breaker is open", func() bool { return strings.Contains(s.health().Breaker, "3 clients failed for the first time") })
		s.awaitTrue("the entry is withdrawn", func() bool { return s.known(brokenClient).Entry == nil })
		for range 3 {
			s.awaitSpacing()
			for _, client := range []string{brokenClient, hopelessClient, anotherClient} {
				s.try(client, old, oldTLS10, failsTLS, hasProofs(0))
			}
		}
	})
}
