package delegation

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/lists"
	"ehlogate/policyd"
	"ehlogate/policyd/internal/prototest"
)

// server suppresses prototest.Denied and demands TLS of 2001:db8::1.
func server(actions *Actions, outcomes, faults *[]string) *Server {
	b := prototest.Backend(policyd.NewValues(nil, false), faults)
	inner := b.Decider
	b.Decider = lists.DeciderFunc(func(ctx context.Context, c lists.Client) lists.Decision {
		d := inner.Decide(ctx, c)
		if d.Action == lists.Suppress {
			d.List = &lists.List{Name: "deny"}
		} else if c.Addr.String() == "2001:db8::1" {
			d.Action, d.List = lists.Require, &lists.List{Name: "strict"}
		}
		return d
	})
	return &Server{Backend: b, Actions: func(lists.Decision) *Actions { return actions },
		Outcome: func(o lists.Outcome, _ lists.Client, _ lists.Decision) {
			*outcomes = append(*outcomes, o.String())
		}}
}

// full is a request as Postfix 3.7 sends it; attributes are replaced by with.
func fullRequest(with ...string) string {
	text := `request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=192.0.2.1
client_name=unknown
client_port=40000
reverse_client_name=unknown
server_address=127.0.0.1
server_port=25
helo_name=mail.example
sender=a@example
recipient=b@mta.test
recipient_count=0
queue_id=
instance=1a2b.65000000.1234.0
size=0
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=0
policy_context=

`
	for _, attr := range with {
		name, _, _ := strings.Cut(attr, "=")
		text = regexp.MustCompile(`(?m)^`+name+`=.*$`).ReplaceAllLiteralString(text, attr)
	}
	return text
}

func TestRequests(t *testing.T) {
	const dunno = "action=DUNNO\n\n"
	info := "action=INFO starttls=suppress list=deny entry=\n\n"
	for _, tc := range []struct {
		name, in, out    string
		outcomes, faults []string
		end              bool
	}{
		{name: "suppressed", in: fullRequest(), out: info, outcomes: []string{"suppressed"}},
		{name: "several", in: fullRequest("protocol_state=CONNECT") + fullRequest("client_address=192.0.2.2"), out: info + dunno, outcomes: []string{"suppressed"}},
		{name: "with CRLF", in: strings.ReplaceAll(fullRequest(), "\n", "\r\n"), out: info, outcomes: []string{"suppressed"}},
		{name: "encrypted", in: fullRequest("encryption_protocol=TLSv1.3"), out: "action=INFO starttls=suppress encrypted=yes list=deny entry=\n\n", outcomes: []string{"suppressed-encrypted"}},
		{name: "behind a proxy", in: fullRequest("client_port=unknown"), out: info, outcomes: []string{"suppressed"}},
		{name: "on submission", in: fullRequest("server_port=587"), out: info, outcomes: []string{"suppressed-submission"}},
		{name: "on submission, before STARTTLS", in: fullRequest("server_port=587", "protocol_state=EHLO"), out: dunno},
		{name: "on submission, with TLS", in: fullRequest("server_port=465", "encryption_protocol=TLSv1.3"), out: dunno},
		{name: "logged in", in: fullRequest("sasl_username=joe"), out: info, outcomes: []string{"suppressed-submission"}},
		{name: "logged in, and EHLO again", in: fullRequest("sasl_method=PLAIN", "protocol_state=EHLO"), out: info, outcomes: []string{"suppressed-submission"}},
		{name: "the name is no reason: EHLO went by the address", in: fullRequest("client_address=192.0.2.2", "client_name=bad.example", "helo_name=ylmf-pc"), out: dunno},
		{name: "require unmet", in: fullRequest("client_address=2001:db8::1"), out: "action=450 4.7.0 TLS required\n\n", outcomes: []string{"require-unmet"}},
		{name: "require, an IPv6 address as in a literal", in: fullRequest("client_address=IPv6:2001:DB8::1"), out: "action=450 4.7.0 TLS required\n\n", outcomes: []string{"require-unmet"}},
		{name: "require met", in: fullRequest("client_address=2001:db8::1", "encryption_protocol=TLSv1.2"), out: dunno},
		{name: "require on the address, but not on all that is known", in: fullRequest("client_address=2001:db8::1", "helo_name=ylmf-pc"), out: dunno},
		{name: "no address", in: fullRequest("client_address=unknown"), out: dunno, faults: []string{"key"}},
		{name: "an attribute twice: the first counts", in: strings.Replace(fullRequest("client_address=192.0.2.2"), "\n\n", "\nclient_address=192.0.2.1\n\n", 1), out: dunno},
		{name: "attributes with similar names", in: "client_addresses=192.0.2.2\nclient_address :192.0.2.2\nclient_address\nclient_a=192.0.2.2\nrequest\nprotocol_name=x\n" + fullRequest(), out: info, outcomes: []string{"suppressed"}},
		{name: "unknown attributes", in: "request=smtpd_access_policy\nnew=thing\n=\n\n", out: dunno},
		{name: "no =", in: "request=smtpd_access_policy\nwhat\nclient_address\n\n", out: dunno},
		{name: "no request", in: "\n", end: true},
		{name: "another request", in: "request=junk\n\n", end: true},
		{name: "half", in: strings.TrimSuffix(fullRequest(), "\n"), out: ""},
		{name: "endless line", in: strings.Repeat("x", maxRequest), end: true},
		{name: "endless lines", in: strings.Repeat("a=b\n", maxRequest/4), end: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var outcomes, faults []string
			out, err := prototest.Answer(server(DefaultActions(), &outcomes, &faults).Connection(), []byte(tc.in), len(tc.in))
			if string(out) != tc.out || (err != nil) != tc.end || !slices.Equal(outcomes, tc.outcomes) || !slices.Equal(faults, tc.faults) {
				t.Errorf("got %q, %v, %q, faults %q; want %q, %q, %q", out, err, outcomes, faults, tc.out, tc.outcomes, tc.faults)
			}
		})
	}
}

// TLS is required of mail, and of nothing else that Postfix asks about.
func TestRequireByState(t *testing.T) {
	for state, unmet := range map[string]bool{
		"MAIL": true, "RCPT": true, "DATA": true, "BDAT": true, "END-OF-MESSAGE": true,
		"CONNECT": false, "XCLIENT": false, "HELO": false, "EHLO": false, "STARTTLS": false, "VRFY": false, "ETRN": false, "UNKNOWN": false, "": false, "mail": false,
	} {
		var outcomes, faults []string
		out, err := prototest.Answer(server(DefaultActions(), &outcomes, &faults).Connection(), []byte(fullRequest("client_address=2001:db8::1", "protocol_state="+state)), 1000)
		if refused := strings.HasPrefix(string(out), "action=450 "); err != nil || refused != unmet || (len(outcomes) == 1) != unmet {
			t.Errorf("%q: %q, %q, %v", state, out, outcomes, err)
		}
	}
}

// An outcome may be silent, or a restriction class.
func TestActions(t *testing.T) {
	for action, want := range map[string]string{"": "DUNNO", "no_tls": "no_tls", "PREPEND X-Starttls: {action} ({list})": "PREPEND X-Starttls: suppress (deny)"} {
		var outcomes, faults []string
		out, err := prototest.Answer(server(&Actions{Suppressed: action}, &outcomes, &faults).Connection(), []byte(fullRequest()), 1000)
		if string(out) != "action="+want+"\n\n" || err != nil || len(outcomes) != 1 {
			t.Errorf("%q: %q, %v", action, out, err)
		}
	}
}

var replies = regexp.MustCompile(`^(action=[ -~]+\n\n)*$`)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{fullRequest(), fullRequest("encryption_protocol=TLSv1.3", "client_address=2001:db8::1") + fullRequest(), "\n", "request=smtpd_access_policy\r\n\r\n", "a\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var outcomes, faults []string
		if out := prototest.Check(t, server(DefaultActions(), &outcomes, &faults).Connection(), in); !replies.Match(out) {
			t.Fatalf("%q: malformed reply %q", in, out)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	for name, addr := range map[string]string{"suppressed": "192.0.2.1", "offered": "192.0.2.2"} {
		b.Run(name, func(b *testing.B) {
			var outcomes, faults []string
			s := server(DefaultActions(), &outcomes, &faults)
			s.Outcome = func(lists.Outcome, lists.Client, lists.Decision) {}
			c := s.Connection()
			in := []byte(fullRequest("client_address=" + addr))
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				_, out, _ = c.Answer(b.Context(), in, out[:0])
			}
		})
	}
}
