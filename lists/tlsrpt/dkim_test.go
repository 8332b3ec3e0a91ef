package tlsrpt

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/dnstest"
)

// signMessage returns a message with the signature of a domain.
func signMessage(t testing.TB, message, domain, selector string, key crypto.Signer) string {
	t.Helper()
	var b bytes.Buffer
	o := &dkim.SignOptions{Domain: domain, Selector: selector, Signer: key, HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "TLS-Report-Domain", "TLS-Report-Submitter", "Content-Type"}}
	if err := dkim.Sign(&b, strings.NewReader(strings.ReplaceAll(message, "\n", "\r\n")), o); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// newMessage returns a report from an address, submitted by a domain.
func newMessage(t testing.TB, from, submitter string) string {
	message := head + gzipPart + "\n" + inBase64(compress(t, readSample(t, "rfc")))
	message = strings.Replace(message, "noreply@sender.example", from, 1)
	return strings.Replace(message, "TLS-Report-Submitter: sender.example", "TLS-Report-Submitter: "+submitter, 1)
}

// readMail returns the message of the one report in a text.
func readMail(t testing.TB, text string) *Mail {
	t.Helper()
	var got *Mail
	Read("FILE", iotest.OneByteReader(strings.NewReader(text)), func(i Item) {
		if i.Err != nil {
			t.Fatal(i.Err)
		}
		got = i.Mail
	})
	return got
}

// TestSignatures checks signatures with the keys that a real DNS server has.
func TestSignatures(t *testing.T) {
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaPublic, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	p := "p=" + base64.StdEncoding.EncodeToString(edPublic)
	long := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(rsaPublic)
	server := dnstest.StartServer(t, dnstest.NewZone(t, "example", strings.Join([]string{
		`ed._domainkey.sender TXT "v=DKIM1; k=ed25519; ` + p + `"`,
		`rsa._domainkey.sender TXT "` + long[:200] + `" "` + long[200:] + `"`,
		`tlsrpt._domainkey.sender TXT "v=DKIM1; k=ed25519; s=tlsrpt; ` + p + `"`,
		`two._domainkey.sender TXT "v=DKIM1; k=ed25519; s=email:tlsrpt ;` + p + `"`,
		`any._domainkey.sender TXT "v=DKIM1; k=ed25519; s=*; ` + p + `"`,
		`email._domainkey.sender TXT "v=DKIM1; k=ed25519; s=email; ` + p + `"`,
		`test._domainkey.sender TXT "v=DKIM1; k=ed25519; t=s:y; ` + p + `"`,
		`revoked._domainkey.sender TXT "v=DKIM1; k=ed25519; p="`,
		`ed._domainkey.other TXT "v=DKIM1; k=ed25519; ` + p + `"`,
		`ed._domainkey.mail.sender TXT "v=DKIM1; k=ed25519; ` + p + `"`,
		`ed._domainkey.down TXT "v=DKIM1; k=ed25519; ` + p + `"`,
	}, "\n")))
	server.Fail("down.example.", dnstest.Fault{Kind: dnstest.Drop})
	resolver := dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{server.Addr}, Timeout: 300 * time.Millisecond, Tries: 2})
	sign := func(domain, selector string) func(string) string {
		return func(m string) string { return signMessage(t, m, domain, selector, ed) }
	}
	change := func(from, to string) func(string) string {
		return func(m string) string { return strings.Replace(sign("sender.example", "ed")(m), from, to, 1) }
	}
	const from, submitter = "noreply@sender.example", "sender.example"
	for name, tc := range map[string]struct {
		from, submitter string
		sign            func(string) string
		result          Result
		domain, reason  string
	}{
		"ed25519":                 {from, submitter, sign("sender.example", "ed"), Pass, "sender.example", ""},
		"RSA":                     {from, submitter, func(m string) string { return signMessage(t, m, "sender.example", "rsa", rsaKey) }, Pass, "sender.example", ""},
		"key for reports":         {from, submitter, sign("sender.example", "tlsrpt"), Pass, "sender.example", ""},
		"key for two services":    {from, submitter, sign("sender.example", "two"), Pass, "sender.example", ""},
		"key for all services":    {from, submitter, sign("sender.example", "any"), Pass, "sender.example", ""},
		"one organization":        {from, submitter, sign("mail.sender.example", "ed"), Pass, "mail.sender.example", ""},
		"author in a subdomain":   {"r@mail.sender.example", submitter, sign("sender.example", "ed"), Pass, "sender.example", ""},
		"submitter without a dot": {from, "Sender", sign("sender.example", "ed"), Pass, "sender.example", ""},
		"from an alias": {from, submitter, func(m string) string {
			return "From x@sender.example  Sat Nov 28 06:09:00 2026\nDelivered-To: tlsrpt@example.org\n" + sign("sender.example", "ed")(m)
		}, Pass, "sender.example", ""},
		"a wrong one first": {from, submitter, func(m string) string {
			return sign("sender.example", "email")(sign("sender.example", "ed")(m))
		}, Pass, "sender.example", ""},

		"unsigned":                      {from, submitter, func(m string) string { return m }, Unsigned, "sender.example", "not signed"},
		"another body":                  {from, submitter, func(m string) string { return sign("sender.example", "ed")(m) + "=\n" }, Fail, "sender.example", "body hash"},
		"another author":                {from, submitter, change("From: TLS reports", "From: TLS report"), Fail, "sender.example", "signature did not verify"},
		"another domain":                {from, submitter, sign("other.example", "ed"), Unaligned, "other.example", "signed by other.example, but sent by sender.example"},
		"another submitter":             {from, "google.example", sign("sender.example", "ed"), Unaligned, "sender.example", "submitted by google.example"},
		"a top-level domain":            {from, submitter, sign("example", "ed"), Fail, "example", "no valid key"},
		"two authors":                   {from + ">, <a@other.example", submitter, sign("sender.example", "ed"), Unaligned, "sender.example", "no valid From"},
		"a second author":               {from, submitter, func(m string) string { return "From: x@other.example\n" + sign("sender.example", "ed")(m) }, Unaligned, "sender.example", "no valid From"},
		"a second author, with a space": {from, submitter, func(m string) string { return sign("sender.example", "ed")("From : x@other.example\n" + m) }, Unaligned, "sender.example", "no valid From"},
		"key for mail only":             {from, submitter, sign("sender.example", "email"), Fail, "sender.example", `for the service "email", not for tlsrpt`},
		"key in tests":                  {from, submitter, sign("sender.example", "test"), Fail, "sender.example", "only tests"},
		"key revoked":                   {from, submitter, sign("sender.example", "revoked"), Fail, "sender.example", "revoked"},
		"no key":                        {from, submitter, sign("sender.example", "none"), Fail, "sender.example", "no valid key"},
		"DNS down":                      {"x@down.example", "down.example", sign("down.example", "ed"), Unknown, "down.example", "timeout"},
		"zone not served here":          {"x@sender.test", "sender.test", sign("sender.test", "ed"), Unknown, "sender.test", "refused"},
		"signature in pieces":           {from, submitter, func(m string) string { return "DKIM-Signature: v=1; a=rsa-sha256; d=sender.example\n" + m }, Fail, "sender.example", "missing required tag"},
		"length of the body":            {from, submitter, change("c=relaxed/relaxed", "l=10; c=relaxed/relaxed"), Fail, "sender.example", "body length"},
		"key with many others": {from, submitter, func(m string) string {
			return strings.Repeat("DKIM-Signature: v=1; d=a.example\n", 100) + sign("sender.example", "ed")(m)
		}, Fail, "a.example", "missing required tag"},
	} {
		message := tc.sign(newMessage(t, tc.from, tc.submitter))
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		got := readMail(t, message).Verify(ctx, resolver)
		stop()
		if got.Result != tc.result || got.Domain != tc.domain || !strings.Contains(got.Reason, tc.reason) || (got.Reason == "") != (tc.result == Pass) {
			t.Errorf("%s: got %+v, want %s by %s: %s", name, got, tc.result, tc.domain, tc.reason)
		}
	}
	var bare *Mail
	if got := bare.Verify(t.Context(), resolver); got.Result != Unsigned {
		t.Errorf("bare report: %+v", got)
	}
}

// TestForwardedMessage checks that a message in a message has its own signature, and not that of the one around it.
func TestForwardedMessage(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	server := dnstest.StartServer(t, dnstest.NewZone(t, "example", `ed._domainkey.sender TXT "v=DKIM1; k=ed25519; p=`+base64.StdEncoding.EncodeToString(public)+`"`))
	resolver := dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{server.Addr}})
	inner := newMessage(t, "a@sender.example", "sender.example")
	outer := func(message string) string {
		return head + inParts("mixed", "outer", "Content-Type: message/rfc822\n\n"+message)
	}
	for want, message := range map[Result]string{
		Pass:     outer(signMessage(t, inner, "sender.example", "ed", key)),
		Unsigned: signMessage(t, outer(inner), "sender.example", "ed", key),
	} {
		if got := readMail(t, message).Verify(t.Context(), resolver); got.Result != want {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	doc := readSample(f, "draft")
	z := inBase64(compress(f, doc))
	f.Add([]byte(head + gzipPart + "\n" + z))
	f.Add([]byte("From a\n" + head + inParts("report; report-type=tlsrpt", "b", textPart, gzipPart+"\n"+z) + "\n\nFrom b\n" + head + "\n"))
	f.Add([]byte(head + inParts("mixed", "b", "Content-Type: message/rfc822\n\n"+head+inParts("report", "c", textPart, gzipPart+"\n"+z))))
	f.Add([]byte(head + "Content-Type: application/tlsrpt+json\nContent-Transfer-Encoding: quoted-printable\n\n" + inQuotedPrintable(doc)))
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=a.example; s=s; h=from; bh=YQ==; b=YQ==\n" + head + gzipPart + "\n" + z))
	f.Add(compress(f, doc))
	f.Fuzz(func(t *testing.T, message []byte) {
		Read("FILE", bytes.NewReader(message), func(i Item) {
			if (i.Err == nil) != (i.Report != nil) {
				t.Fatalf("got %+v", i)
			}
			if i.Err == nil {
				checkBounds(t, i.Report)
			}
			if s := i.Mail.Verify(t.Context(), noResolver{}); s.Result == Pass {
				t.Fatal("a signature without a key")
			}
		})
	})
}

// noResolver is a resolver that has one invalid key for every name.
type noResolver struct{}

func (noResolver) Query(context.Context, string, uint16) (dnsclient.Answer, error) {
	return dnsclient.Answer{}, nil
}

func FuzzKey(f *testing.F) {
	for _, key := range []string{"v=DKIM1; k=ed25519; s=tlsrpt; p=YQ==", "s=*", "t=y:s", "s=email:tlsrpt;", ";=;s", ""} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		got, err := checkService(key)
		if err == nil && (len(got) > len(key) || strings.Contains(";"+strings.ReplaceAll(got, " ", ""), ";s=")) {
			t.Fatalf("%q became %q", key, got)
		}
	})
}
