package mtatest_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// way is one way for a client's TLS to go, wrong or well. To add one, append it to the rows of its kind.
type way struct {
	name string
	port string // of logging.ports; servers without that port are left out
	// want is the right verdict on the session, in the words of verdictOf; but is that of servers that log other words, or less.
	// " | " separates those of different releases.
	want string
	but  verdicts
	// play is what the client does. The connection ends behind it.
	play []act
	// others are more sessions of the same client.
	others [][]act
}

// verdicts are verdicts by the name of the server. That of logExim is also that of logEximDefault, if it has none.
type verdicts map[string]string

// wantOf returns the right verdict for a server.
func (w *way) wantOf(server string) string {
	if want, ok := w.but[server]; ok {
		return want
	}
	if want, ok := w.but[logExim]; ok && server == logEximDefault {
		return want
	}
	return w.want
}

// afterSTARTTLS returns the acts of a client that says STARTTLS.
func afterSTARTTLS(acts ...act) []act { return slices.Concat([]act{banner, sayEHLO, starttls}, acts) }

// afterEHLO returns those of a client that says EHLO.
func afterEHLO(acts ...act) []act { return slices.Concat([]act{banner, sayEHLO}, acts) }

// failing returns the acts of a client whose first message the server does not take.
func failing(h clientHello) []act { return afterSTARTTLS(sends(h.bytes()), awaitsEnd) }

// ways are the rows of the table.
func allWays() []way {
	return slices.Concat(versionWays, parameterWays, alertWays(), lossWays, wrongWays, certificateWays, goodWays, serverWays, serviceWays)
}

var versionWays = []way{
	{name: "SSL 2 hello", want: "failed unknown-protocol incapable", but: verdicts{logExim: "failed unsupported-protocol incapable"}, play: afterSTARTTLS(sends([]byte("\x80\x2b\x01\x00\x02\x00\x12\x00\x00\x00\x10\x01\x00\x80\x03\x00\x80\x07\x00\xc0\x06\x00\x40\x02\x00\x80\x04\x00\x800123456789abcdef")), awaitsEnd)},
	{name: "SSL 3 only", want: "failed version-too-low incapable", but: verdicts{logExim: "failed unsupported-protocol incapable"}, play: failing(clientHello{record: 0x0300, version: 0x0300, ciphers: []uint16{0x2f, 0x35, 0x0a}, bare: true})},
	{name: "TLS 1.0 only, TLS 1.2 required", port: "strict", want: "failed unsupported-protocol incapable", play: afterSTARTTLS(triesHandshake(onlyVersion(tls.VersionTLS10)))},
	{name: "TLS 1.1 only, TLS 1.2 required", port: "strict", want: "failed unsupported-protocol incapable", play: afterSTARTTLS(triesHandshake(onlyVersion(tls.VersionTLS11)))},
	{name: "TLS 1.2 only, TLS 1.3 required", port: "only13", want: "failed unsupported-protocol incapable", play: afterSTARTTLS(triesHandshake(onlyVersion(tls.VersionTLS12)))},
	{name: "TLS 1.3 only, TLS 1.2 required", port: "only12", want: "failed unsupported-protocol incapable", but: verdicts{logExim: "failed no-shared-cipher incapable"}, play: afterSTARTTLS(triesHandshake(onlyVersion(tls.VersionTLS13)))},
	{name: "an unknown version only", want: "failed unsupported-protocol incapable", play: failing(clientHello{versions: []uint16{0x7f1c}, shares: share13})},
	{name: "version 0.2", want: "failed version-too-low incapable", but: verdicts{logExim: "failed unsupported-protocol incapable"}, play: failing(clientHello{version: 0x0002})},
	{name: "TLS 1.1 with TLS_FALLBACK_SCSV", want: "failed inappropriate-fallback attack-or-broken", but: verdicts{logSendmail: "failed inappropriate-fallback attack-or-broken | failed unsupported-protocol incapable"}, play: failing(clientHello{version: tls.VersionTLS11, ciphers: append([]uint16{0x5600}, old10...)})},
	{name: "TLS 1.2 with TLS_FALLBACK_SCSV", want: "failed inappropriate-fallback attack-or-broken", play: failing(clientHello{ciphers: append([]uint16{0x5600}, modern...)})},
}

var parameterWays = []way{
	{name: "RC4 only", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0x05, 0x04, 0xc007, 0xc011}})},
	{name: "3DES only", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0x0a, 0xc008, 0xc012}})},
	{name: "NULL only", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0x01, 0x02, 0x3b, 0xc006, 0xc010}})},
	{name: "export ciphers only", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0x03, 0x06, 0x08, 0x14, 0x62, 0x64}})},
	{name: "RSA certificates only", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0xc02f, 0xc030, 0x9c, 0x9d, 0x2f, 0x35}})},
	{name: "an unknown cipher only", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0xfefe}})},
	{name: "no cipher", want: "failed no-shared-cipher incapable", but: verdicts{logExim: "failed decode-error ambiguous"}, play: failing(clientHello{ciphers: []uint16{}})},
	{name: "an unknown cipher only, TLS 1.3", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0x13fe}, versions: []uint16{tls.VersionTLS13}, shares: share13})},
	{name: "an unknown group only, TLS 1.2", want: "failed no-shared-cipher incapable", play: failing(clientHello{groups: []uint16{0xfefe}})},
	{name: "an unknown group only, TLS 1.3", want: "failed no-suitable-key-share incapable", play: failing(clientHello{groups: []uint16{0xfefe}, ciphers: modern[:2], versions: []uint16{tls.VersionTLS13}, shares: []byte{0xfe, 0xfe, 0, 1, 0}})},
	{name: "no share of a key, TLS 1.3", want: "failed no-suitable-key-share incapable", but: verdicts{logExim: "failed missing-extension ambiguous"}, play: failing(clientHello{ciphers: modern[:2], versions: []uint16{tls.VersionTLS13}})},
	{name: "unknown signatures only, TLS 1.2", want: "failed no-suitable-signature-algorithm incapable", but: verdicts{logExim: "failed no-shared-cipher incapable"}, play: failing(clientHello{signatures: []uint16{0xfefe}})},
	{name: "SHA-1 with RSA only, TLS 1.2", want: "failed no-shared-cipher incapable", but: verdicts{logSendmail: "failed no-suitable-signature-algorithm incapable"}, play: failing(clientHello{signatures: []uint16{0x0201}})},
	{name: "RSA signatures only, TLS 1.3", want: "failed no-suitable-signature-algorithm incapable", but: verdicts{logExim: "failed no-shared-cipher incapable"}, play: failing(clientHello{signatures: []uint16{0x0804, 0x0401}, ciphers: modern[:2], versions: []uint16{tls.VersionTLS13}, shares: share13})},
	{name: "unknown signatures only, TLS 1.3", want: "failed no-suitable-signature-algorithm incapable", but: verdicts{logExim: "failed no-shared-cipher incapable"}, play: failing(clientHello{signatures: []uint16{0xfefe}, ciphers: modern[:2], versions: []uint16{tls.VersionTLS13}, shares: share13})},
	{name: "compression only", want: "failed decode-error ambiguous", play: failing(clientHello{compress: []byte{1}})},
	{name: "a share of a wrong length", want: "failed illegal-parameter ambiguous", but: verdicts{logExim: "failed unexpected-eof transient"}, play: failing(clientHello{ciphers: modern[:2], versions: []uint16{tls.VersionTLS13}, shares: []byte{0, 23, 0, 2, 1, 1}})},
	{name: "an extension twice", want: "failed decode-error ambiguous", play: failing(clientHello{more: appendExtension(nil, 10, []byte{0, 2, 0, 23})})},
	{name: "an extension cut off", want: "failed decode-error ambiguous", play: failing(clientHello{more: []byte{0, 99, 0, 50}})},
	{name: "a session ID of 40 bytes", want: "failed unexpected-length attack-or-broken", but: verdicts{logExim: "failed decode-error ambiguous"}, play: failing(clientHello{sessionID: 40})},
	{name: "renegotiation of nothing", want: "failed renegotiation attack-or-broken", play: failing(clientHello{more: appendExtension(nil, 0xff01, []byte{2, 1, 1})})},
}

var lossWays = []way{
	{name: "ends after the banner", want: "none info", but: verdicts{logEximDefault: ""}, play: []act{banner}},
	{name: "ends after EHLO", want: "none info", but: verdicts{logEximDefault: ""}, play: afterEHLO()},
	{name: "ends after STARTTLS", want: "failed unexpected-eof transient", but: verdicts{logSMTPD: "failed lost-connection transient", logScreen: "failed lost-connection transient"}, play: afterSTARTTLS(hangsUp)},
	{name: "reset after STARTTLS", want: "failed connection-reset transient", but: verdicts{logScreen: "failed lost-connection transient", logSendmail: "failed lost-connection transient | failed connection-reset transient"}, play: afterSTARTTLS(resets)},
	{name: "ends within ClientHello", want: "failed lost-connection transient", but: verdicts{logSendmail: "failed unexpected-eof transient", logExim: "failed decode-error ambiguous"}, play: afterSTARTTLS(sends(clientHello{}.bytes()[:40]), hangsUp)},
	{name: "reset within ClientHello", want: "failed connection-reset transient", but: verdicts{logScreen: "failed lost-connection transient", logSendmail: "failed lost-connection transient | failed connection-reset transient"}, play: afterSTARTTLS(sends(clientHello{}.bytes()[:40]), resets)},
	{name: "ends after ClientHello", want: "failed unexpected-eof transient", but: verdicts{logSMTPD: "failed lost-connection transient", logScreen: "failed lost-connection transient"}, play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, hangsUp)},
	{name: "reset after ClientHello", want: "failed connection-reset transient", but: verdicts{logScreen: "failed lost-connection transient", logSendmail: "failed lost-connection transient | failed connection-reset transient"}, play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, resets)},
	{name: "ends after ClientHello, TLS 1.3", want: "failed unexpected-eof transient", but: verdicts{logSMTPD: "failed lost-connection transient", logScreen: "failed lost-connection transient"}, play: afterSTARTTLS(sends(hello13.bytes()), awaitsFlight, hangsUp)},
	{name: "reset after ClientHello, TLS 1.3", want: "failed connection-reset transient", but: verdicts{logScreen: "failed lost-connection transient", logSendmail: "failed lost-connection transient | failed connection-reset transient"}, play: afterSTARTTLS(sends(hello13.bytes()), awaitsFlight, resets)},
	{name: "silent after STARTTLS", port: "hurried", want: "failed handshake-timeout transient", play: afterSTARTTLS(waits(mtatest.StepTimeout))},
	{name: "silent within ClientHello", port: "impatient", want: "failed handshake-timeout transient", play: afterSTARTTLS(sends(clientHello{}.bytes()[:40]), waits(8*time.Second))},
	{name: "silent after ClientHello", port: "impatient", want: "failed handshake-timeout transient", play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, waits(mtatest.StepTimeout))},
}

var wrongWays = []way{
	{name: "EHLO in the clear", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte("EHLO client.example\r\n")), awaitsEnd)},
	{name: "MAIL in the clear", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte("MAIL FROM:<a@client.example>\r\n")), awaitsEnd)},
	{name: "QUIT in the clear", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte("QUIT\r\n")), awaitsEnd)},
	{name: "HTTP GET", want: "failed http-request scanner", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), awaitsEnd)},
	{name: "HTTP POST", want: "failed http-request scanner", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte("POST / HTTP/1.1\r\nHost: x\r\n\r\n")), awaitsEnd)},
	{name: "HTTP CONNECT", want: "failed https-proxy-request scanner", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte("CONNECT x:25 HTTP/1.1\r\n\r\n")), awaitsEnd)},
	{name: "SSH", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte("SSH-2.0-OpenSSH_9.9\r\n")), awaitsEnd)},
	{name: "garbage", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unexpected-length attack-or-broken"}, play: afterSTARTTLS(sends([]byte("\xf3\x9a\x55\x01\xee\x00\x13\x37\xca\xfe\xba\xbe\xde\xad\xbe\xef")), awaitsEnd)},
	{name: "zeros", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends(make([]byte, 300)), awaitsEnd)},
	{name: "a record of 65535 bytes", want: "failed unexpected-length attack-or-broken", play: afterSTARTTLS(sends(append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 1000)...)), awaitsEnd)},
	{name: "a record of 0 bytes", want: "failed lost-connection transient", but: verdicts{logSendmail: "failed unexpected-eof transient", logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends([]byte{22, 3, 1, 0, 0}), hangsUp)},
	{name: "a record of an unknown kind", want: "failed unexpected-message ambiguous", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends(makeRecord(99, tls.VersionTLS10, []byte{1, 2, 3, 4})), awaitsEnd)},
	{name: "a record of version 9.9", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unsupported-protocol incapable"}, play: afterSTARTTLS(sends(makeRecord(recordHandshake, 0x0909, makeMessage(1, clientHello{}.body()))), awaitsEnd)},
	{name: "application data first", want: "failed unexpected-message ambiguous", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends(makeRecord(recordData, tls.VersionTLS12, []byte("hello"))), awaitsEnd)},
	{name: "ServerHello first", want: "failed unexpected-message ambiguous", play: afterSTARTTLS(sends(makeRecord(recordHandshake, tls.VersionTLS12, makeMessage(2, clientHello{}.body()))), awaitsEnd)},
	{name: "ChangeCipherSpec first", want: "failed unexpected-message ambiguous", but: verdicts{logExim: "failed unexpected-eof transient"}, play: afterSTARTTLS(sends(makeRecord(recordCCS, tls.VersionTLS12, []byte{1})), awaitsEnd)},
	{name: "ChangeCipherSpec early", want: "failed unexpected-message ambiguous", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(makeRecord(recordCCS, tls.VersionTLS12, []byte{1})), awaitsEnd)},
	{name: "ChangeCipherSpec with a wrong byte", want: "failed invalid-ccs attack-or-broken", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(makeRecord(recordCCS, tls.VersionTLS12, []byte{9})), awaitsEnd)},
	{name: "a handshake message of a wrong kind", want: "failed unexpected-message ambiguous", play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(makeRecord(recordHandshake, tls.VersionTLS12, makeMessage(20, make([]byte, 12)))), awaitsEnd)},
	{name: "ClientHello of a wrong length", want: "failed unexpected-length attack-or-broken", but: verdicts{logExim: "failed decode-error ambiguous"}, play: afterSTARTTLS(sends(makeRecord(recordHandshake, tls.VersionTLS10, makeMessage(1, clientHello{}.body()[:50]))), awaitsEnd)},
	{name: "a corrupted record, TLS 1.2", want: "failed decryption-failed transient", play: afterSTARTTLS(triesOver(tls.VersionTLS12, spoilsEncrypted))},
	{name: "a corrupted record, TLS 1.3", want: "failed decryption-failed transient", play: afterSTARTTLS(triesOver(tls.VersionTLS13, spoilsEncrypted))},
	{name: "a corrupted ClientKeyExchange, TLS 1.2", want: "failed decryption-failed transient", but: verdicts{logSendmail: "failed illegal-parameter ambiguous"}, play: afterSTARTTLS(triesOver(tls.VersionTLS12, spoilsKey))},
}

// spoilsEncrypted changes the last byte of what is encrypted: what stands behind ChangeCipherSpec.
func spoilsEncrypted(b []byte) []byte {
	if at := bytes.Index(b, []byte{recordCCS, 3, 3, 0, 1, 1}); b[0] == recordData || at >= 0 && len(b) > at+6 {
		b[len(b)-1] ^= 1
	}
	return b
}

// spoilsKey changes the key of the client: any byte of the last message in the clear.
func spoilsKey(b []byte) []byte {
	if at := bytes.Index(b, []byte{recordCCS, 3, 3, 0, 1, 1}); at > 0 {
		b[at-1] ^= 1
	}
	return b
}

var certificateWays = []way{
	{name: "does not know the CA, TLS 1.2", want: "failed alert-bad-certificate cert-rejected", play: afterSTARTTLS(triesHandshake(func(c *tls.Config) {
		onlyVersion(tls.VersionTLS12)(c)
		c.InsecureSkipVerify, c.RootCAs = false, x509.NewCertPool()
	}))},
	{name: "does not know the CA, TLS 1.3", want: "failed alert-bad-certificate cert-rejected", play: afterSTARTTLS(triesHandshake(func(c *tls.Config) {
		onlyVersion(tls.VersionTLS13)(c)
		c.InsecureSkipVerify, c.RootCAs = false, x509.NewCertPool()
	}))},
	{name: "rejects the certificate after the handshake, TLS 1.3", want: "ok alert-bad-certificate cert-rejected-after-handshake", but: verdicts{logSendmail: "ok success tls-ok"}, play: afterSTARTTLS(rejectsLater(42))},
	{name: "does not know the CA, after the handshake, TLS 1.3", want: "ok alert-unknown-ca cert-rejected-after-handshake", but: verdicts{logSendmail: "ok success tls-ok"}, play: afterSTARTTLS(rejectsLater(48))},
}

var goodWays = []way{
	{name: "TLS 1.0", want: "ok success tls-ok", but: verdicts{logSendmail: "failed no-suitable-signature-algorithm incapable | failed unsupported-protocol incapable", logEximDefault: ""}, play: afterSTARTTLS(mayHandshake(onlyVersion(tls.VersionTLS10), sayEHLO, quit))},
	{name: "TLS 1.2, QUIT", want: "ok success tls-ok", but: verdicts{logEximDefault: ""}, play: afterSTARTTLS(handshakes(onlyVersion(tls.VersionTLS12)), sayEHLO, quit)},
	{name: "TLS 1.3, QUIT", want: "ok success tls-ok", but: verdicts{logEximDefault: ""}, play: afterSTARTTLS(handshakes(onlyVersion(tls.VersionTLS13)), sayEHLO, quit)},
	{name: "TLS 1.2, then nothing", want: "ok handshake-only ambiguous", but: verdicts{logScreen: "ok success tls-ok", logSendmail: "ok success tls-ok", logEximDefault: ""}, play: afterSTARTTLS(handshakes(onlyVersion(tls.VersionTLS12)))},
	{name: "TLS 1.3, then nothing", want: "ok handshake-only ambiguous", but: verdicts{logScreen: "ok success tls-ok", logSendmail: "ok success tls-ok", logEximDefault: ""}, play: afterSTARTTLS(handshakes(onlyVersion(tls.VersionTLS13)))},
	{name: "TLS, QUIT without EHLO", want: "ok handshake-only ambiguous", but: verdicts{logScreen: "ok success tls-ok", logSendmail: "ok success tls-ok", logEximDefault: ""}, play: afterSTARTTLS(handshakes(nil), quit)},
	{name: "TLS, then reset", want: "ok success tls-ok", but: verdicts{logEximDefault: ""}, play: afterSTARTTLS(handshakes(nil), sayEHLO, resets)},
	{name: "a message in TLS", want: "ok success tls-ok accepted", but: verdicts{logScreen: "ok success tls-ok rejected"}, play: afterSTARTTLS(handshakes(nil), sayEHLO, delivers, quit)},
	{name: "a message in TLS, not taken", want: "ok success tls-ok rejected", play: afterSTARTTLS(handshakes(nil), sayEHLO, isRefused, quit)},
	{name: "a message in TLS, then lost", want: "ok success tls-ok accepted", but: verdicts{logScreen: "ok success tls-ok rejected"}, play: afterSTARTTLS(handshakes(nil), sayEHLO, delivers)},
	{name: "a message in the clear", want: "none info accepted", but: verdicts{logScreen: "none info rejected"}, play: afterEHLO(delivers, quit)},
	{name: "a message in the clear, not taken", want: "none info rejected", play: afterEHLO(isRefused, quit)},
	{name: "nothing", want: "none info", but: verdicts{logEximDefault: ""}, play: afterEHLO(quit)},
}

var serverWays = []way{
	{name: "no certificate", port: "nocert", want: "failed local-problem local", but: verdicts{logSendmail: "none info"}, play: afterEHLO(saysCommand("STARTTLS"), saysCommand("QUIT"))},
	{name: "the certificate is garbage", port: "badcert", want: "failed local-problem local", but: verdicts{logSendmail: "none info"}, play: afterEHLO(saysCommand("STARTTLS"), saysCommand("QUIT"))},
	{name: "no key", port: "nokey", want: "failed local-problem local", but: verdicts{logSendmail: "none info"}, play: afterEHLO(saysCommand("STARTTLS"), saysCommand("QUIT"))},
	{name: "the key of another certificate", port: "otherkey", want: "failed local-problem local", but: verdicts{logSendmail: "none info"}, play: afterEHLO(saysCommand("STARTTLS"), saysCommand("QUIT"))},
	{name: "no certificate; gives up after STARTTLS", port: "nocert", want: "failed local-problem local", but: verdicts{logSendmail: "none info"}, play: afterEHLO(saysCommand("STARTTLS"))},
	{name: "expired certificate, client takes it", port: "expired", want: "ok success tls-ok", but: verdicts{logEximDefault: ""}, play: afterSTARTTLS(handshakes(nil), sayEHLO, quit)},
	{name: "expired certificate, client rejects it", port: "expired", want: "failed alert-certificate-expired cert-rejected", play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(alertRecord(45)), awaitsEnd)},
	{name: "STARTTLS is hidden", port: "hidden", want: "none info accepted", but: verdicts{logSMTPD: "not-offered suppressed-not-failed accepted", logScreen: "none info rejected"}, play: afterEHLO(delivers, quit)},
	{name: "STARTTLS is hidden, client says it all the same", port: "hidden", want: "none info", but: verdicts{logSMTPD: "not-offered suppressed-not-failed", logExim: "failed no-mail-after-starttls ambiguous", logEximDefault: ""}, play: afterEHLO(saysCommand("STARTTLS"), saysCommand("QUIT"))},
	{name: "STARTTLS is hidden silently", port: "silent", want: "none info accepted", but: verdicts{logScreen: "none info rejected"}, play: afterEHLO(delivers, quit)},
	{name: "STARTTLS is hidden silently, client says it all the same", port: "silent", want: "failed starttls-refused ambiguous", but: verdicts{logScreen: "none info"}, play: afterEHLO(saysCommand("STARTTLS"), saysCommand("QUIT"))},
	{name: "STARTTLS too often", port: "limited", want: "ok success tls-ok; failed rate-limited local; failed rate-limited local", play: afterSTARTTLS(handshakes(nil), sayEHLO, quit), others: [][]act{afterSTARTTLS(mayHandshake(nil, awaitsEnd)), afterEHLO(saysCommand("STARTTLS"))}},
	{name: "STARTTLS with a parameter", want: "none info", but: verdicts{logSMTPD: "failed starttls-refused ambiguous", logEximDefault: ""}, play: afterEHLO(saysCommand("STARTTLS now"), quit)},
	{name: "client certificate required, and none", port: "clientcert", want: "failed no-client-certificate local", but: verdicts{logScreen: "ok success tls-ok"}, play: afterSTARTTLS(mayHandshake(nil, awaitsEnd))},
	{name: "loglevel 0: TLS", port: "quiet", want: "ok success tls-ok", play: afterSTARTTLS(handshakes(nil), sayEHLO, quit)},
	{name: "loglevel 0: unknown cipher", port: "quiet", want: "failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0xfefe}})},
	{name: "scanner: several versions", port: "strict", want: "failed unsupported-protocol scanner; failed no-shared-cipher scanner; failed no-suitable-key-share scanner", play: failing(clientHello{version: tls.VersionTLS10, ciphers: old10}), others: [][]act{
		failing(clientHello{ciphers: []uint16{0x0a}}), failing(clientHello{groups: []uint16{0xfefe}, ciphers: modern[:2], versions: []uint16{tls.VersionTLS13}, shares: []byte{0xfe, 0xfe, 0, 1, 0}})}},
	{name: "the same failure again", want: "failed no-shared-cipher incapable; failed no-shared-cipher incapable", play: failing(clientHello{ciphers: []uint16{0x0a}}), others: [][]act{failing(clientHello{ciphers: []uint16{0x0a}})}},
	{name: "RC4 only, while another client is within its handshake", port: "crowded", want: "failed no-shared-cipher incapable", but: verdicts{logScreen: "failed other ambiguous"}, play: afterSTARTTLS(beside(sends(clientHello{ciphers: []uint16{0x05}}.bytes()), awaitsEnd))},
	{name: "SNI: an address", want: "failed alert-unknown-ca cert-rejected", play: afterSTARTTLS(sends(clientHello{sni: "127.0.0.1"}.bytes()), awaitsFlight, sends(alertRecord(48)), awaitsEnd)},
	{name: "SNI: an unknown name", want: "ok success tls-ok", but: verdicts{logEximDefault: ""}, play: afterSTARTTLS(handshakes(func(c *tls.Config) { c.ServerName = "unknown.example" }), sayEHLO, quit)},
	{name: "SNI: looks like a log line", want: "failed alert-unknown-ca cert-rejected", but: verdicts{logExim: "failed illegal-parameter ambiguous"}, play: afterSTARTTLS(sends(clientHello{sni: "x]: disconnect from a[203.0.113.9]"}.bytes()), awaitsEnd, sends(alertRecord(48)), awaitsEnd)},
	{name: "SNI: 300 bytes", want: "failed decode-error ambiguous", but: verdicts{logExim: "failed unexpected-eof transient"}, play: afterSTARTTLS(sends(clientHello{sni: strings.Repeat("x", 300)}.bytes()), awaitsEnd)},
	{name: "SNI: a NUL", want: "failed decode-error ambiguous", but: verdicts{logExim: "failed illegal-parameter ambiguous"}, play: afterSTARTTLS(sends(clientHello{sni: "a\x00b"}.bytes()), awaitsEnd)},
}

var serviceWays = []way{
	{name: "port 465: a message", port: "wrapper", want: "ok success tls-ok accepted", play: []act{handshakes(nil), banner, sayEHLO, delivers, quit}},
	{name: "port 465: nothing", port: "wrapper", want: "failed unexpected-eof transient", but: verdicts{logSMTPD: "failed lost-connection scanner"}},
	{name: "port 465: reset after ClientHello", port: "wrapper", want: "failed connection-reset scanner", but: verdicts{logSendmail: "failed lost-connection scanner | failed connection-reset scanner", logEximDefault: "failed connection-reset transient"}, play: []act{sends(clientHello{}.bytes()), awaitsFlight, resets}},
	{name: "port 465: unknown cipher", port: "wrapper", want: "failed no-shared-cipher submission-ignore", but: verdicts{logEximDefault: "failed no-shared-cipher incapable"}, play: []act{sends(clientHello{ciphers: []uint16{0xfefe}}.bytes()), awaitsEnd}},
	{name: "port 465: EHLO in the clear", port: "wrapper", want: "failed wrong-version-number plaintext-client", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: []act{sends([]byte("EHLO x\r\n")), awaitsEnd}},
	{name: "port 465: HTTP GET", port: "wrapper", want: "failed http-request scanner", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: []act{sends([]byte("GET / HTTP/1.1\r\n\r\n")), awaitsEnd}},
	{name: "port 587: unknown cipher", port: "submission", want: "failed no-shared-cipher submission-ignore", play: failing(clientHello{ciphers: []uint16{0xfefe}})},
	{name: "port 587: unknown_ca", port: "submission", want: "failed alert-unknown-ca submission-ignore", play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(alertRecord(48)), awaitsEnd)},
	{name: "port 587: TLS", port: "submission", want: "ok success tls-ok", play: afterSTARTTLS(handshakes(nil), sayEHLO, quit)},
}
