package telemetry

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists"
	"ehlogate/milter"
	"ehlogate/policyd"
)

// TestFaultMessages holds the log lines about faults to the words that operators search for.
func TestFaultMessages(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	logschema.Watch(t, log)
	log.SetOutput(&out)
	log.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true, DisableColors: true})
	r := NewRecorder(NewMetrics(newManager(t, "# nothing\n", map[string]string{})), log)
	for _, tc := range []struct{ reason, want string }{
		{policyd.FaultKey, "invalid key in request; answered with offer"},
		{policyd.FaultMap, "unknown map in request; answered with offer; check key_format or the map name in the mail server"},
		{policyd.FaultCommand, "unknown command in request; answered with an error; check that the mail server speaks the protocol of this socket"},
		{policyd.FaultMalformed, "malformed request; connection closed; check that the mail server speaks the protocol of this socket"},
		{policyd.FaultOversize, "oversized request; connection closed; check that the mail server speaks the protocol of this socket"},
		{policyd.FaultTruncated, "truncated request; the mail server closed the connection within it"},
		{policyd.FaultTimeout, "timeout: the mail server did not finish a request, or did not read a reply; connection closed"},
		{lists.OutcomeSubmission.String(), "STARTTLS suppressed for a client that submits mail: its password is sent in the clear; use the map only in the smtpd on port 25"},
		{milter.FaultMacros, `milter cannot enforce action \"require\": the mail server does not send the macros {client_port} and {tls_version} at MAIL (Postfix 2.5 and Sendmail 8.14 do)`},
		{"accept", "cannot accept connections; trying again"},
		{"evicted", "connection limit reached; closed the connection that was idle longest; raise max_connections in [listen]"},
		{"refused", "connection limit reached; refused a new connection; raise max_connections in [listen]"},
		{FaultPanic, "internal error (panic); answered with offer, or closed the connection; please report the stack trace"},
		{"another", "fault; answered with offer, or closed the connection"},
	} {
		out.Reset()
		r.Fault("memcache", tc.reason, nil)
		if want := `level=warning msg="` + tc.want + `" protocol=memcache reason=` + tc.reason + "\n"; out.String() != want {
			t.Errorf("got  %swant %s", &out, want)
		}
	}
}

// TestObservedMessages: what a list would have done is said by its action, and by what kept it from taking effect.
func TestObservedMessages(t *testing.T) {
	for want, v := range map[string]lists.Verdict{
		"observed: STARTTLS would be suppressed":                                                     {Action: lists.Suppress},
		"observed: STARTTLS would be offered by this list":                                           {Action: lists.Offer},
		"observed: TLS would be required":                                                            {Action: lists.Require},
		"suppression overridden by [guard]: a domain served here may have published MTA-STS or DANE": {Action: lists.Suppress, Overridden: true},
	} {
		if got := observedMessage(v); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestMetricHelp: the help of every metric is a sentence.
func TestMetricHelp(t *testing.T) {
	manager := newManager(t, "# nothing\n", map[string]string{})
	families, err := NewMetrics(manager).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "ehlogate_") && !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: help %q is not a sentence", f.GetName(), f.GetHelp())
		}
	}
}
