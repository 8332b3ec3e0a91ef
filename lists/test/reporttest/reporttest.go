// Package reporttest makes TLS reports (RFC 8460) as large senders mail them, signed by DKIM.
package reporttest

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// Sender is a sender of reports.
type Sender struct {
	Domain string
	key    ed25519.PrivateKey
	public string
}

// NewSender returns a sender with a key of its own.
func NewSender(t testing.TB, domain string) *Sender {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Sender{domain, key, base64.StdEncoding.EncodeToString(public)}
}

// Zone returns the line of the domain's zone with the key.
func (s *Sender) Zone() string {
	return fmt.Sprintf("tlsrpt._domainkey TXT \"v=DKIM1; k=ed25519; s=tlsrpt; p=%s\"\n", s.public)
}

// Report is what a report says.
type Report struct {
	To, Domain string // the address that it is for, and the domain that it is about
	ID         string
	Client     string // that did not see STARTTLS
	Sessions   int
	Start, End time.Time
}

// Message returns a report as a message that the sender did not sign.
func (s *Sender) Message(t testing.TB, r Report) string {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprintf(z, `{"organization-name":"Sender Inc.","date-range":{"start-datetime":%q,"end-datetime":%q},"contact-info":"tls@%s","report-id":%q,"policies":[`+
		`{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: enforce","mx: mx.%[5]s","max_age: 86400"],"policy-domain":%[5]q},`+
		`"summary":{"total-successful-session-count":12,"total-failure-session-count":%[6]d},"failure-details":[`+
		`{"result-type":"starttls-not-supported","sending-mta-ip":%[7]q,"receiving-mx-hostname":"mx.%[5]s","failed-session-count":%[6]d}]}]}`,
		r.Start.UTC().Format(time.RFC3339), r.End.UTC().Format(time.RFC3339), s.Domain, r.ID, r.Domain, r.Sessions, r.Client)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	for text := base64.StdEncoding.EncodeToString(packed.Bytes()); text != ""; {
		n := min(76, len(text))
		body.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	name := fmt.Sprintf("%s!%s!%d!%d.json.gz", s.Domain, r.Domain, r.Start.Unix(), r.End.Unix())
	return fmt.Sprintf("From: noreply-tls-reports@%[1]s\nTo: %[2]s\nDate: %[3]s\nSubject: Report Domain: %[4]s Submitter: %[1]s Report-ID: <%[5]s>\n"+
		"Message-ID: <%[5]s@%[1]s>\nMIME-Version: 1.0\nTLS-Report-Domain: %[4]s\nTLS-Report-Submitter: %[1]s\n"+
		"Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=\"=_part\"\n\n--=_part\nContent-Type: text/plain; charset=us-ascii\n\n"+
		"This is an aggregate TLS report.\n\n--=_part\nContent-Type: application/tlsrpt+gzip; name=%[6]q\nContent-Transfer-Encoding: base64\n\n%[7]s--=_part--\n",
		s.Domain, r.To, r.End.UTC().Format(time.RFC1123Z), r.Domain, r.ID, name, body.String())
}

// Signed returns a report as the message that the sender mails.
func (s *Sender) Signed(t testing.TB, r Report) string {
	t.Helper()
	var b bytes.Buffer
	o := &dkim.SignOptions{Domain: s.Domain, Selector: "tlsrpt", Signer: s.key, HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "TLS-Report-Domain", "TLS-Report-Submitter", "Content-Type"}}
	if err := dkim.Sign(&b, strings.NewReader(strings.ReplaceAll(s.Message(t, r), "\n", "\r\n")), o); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}
