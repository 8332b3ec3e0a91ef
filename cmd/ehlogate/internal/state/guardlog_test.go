package state

import (
	"errors"
	"strings"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"ehlogate/lists/tlspolicy"
)

// Each event of the guard is one line, of this level.
func TestLogGuardEvent(t *testing.T) {
	failed := errors.New("servfail")
	since := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		event tlspolicy.Event
		want  string
	}{
		{tlspolicy.Event{Kind: tlspolicy.CheckFailed, Domain: "example.org", Mechanism: "MTA-STS", State: tlspolicy.Unknown, Since: since, Err: failed},
			"warning: MTA-STS of example.org cannot be checked since 2026-12-01T00:00:00Z: a commitment to STARTTLS is assumed until a check succeeds"},
		{tlspolicy.Event{Kind: tlspolicy.CheckFailed, Domain: "example.org", Mechanism: "DANE", State: tlspolicy.Secure, Since: since, Err: failed},
			"warning: DANE of example.org cannot be checked since 2026-12-01T00:00:00Z: the last result stays: secure"},
		{tlspolicy.Event{Kind: tlspolicy.CheckSucceeded, Domain: "example.org", Mechanism: "MTA-STS", State: tlspolicy.None},
			"info: MTA-STS of example.org can be checked again: none"},
		{tlspolicy.Event{Kind: tlspolicy.PolicyTesting, Domain: "example.org"},
			"warning: the MTA-STS policy of example.org has mode testing: the guard overrides nothing for it yet, and senders report each session without STARTTLS (RFC 8460); once the mode is enforce, only your own list files hide STARTTLS"},
		{tlspolicy.Event{Kind: tlspolicy.CommitmentChanged, Domain: "example.org", Commitment: tlspolicy.Confirmed, Reason: "why"},
			"warning: example.org is committed to STARTTLS: why"},
		{tlspolicy.Event{Kind: tlspolicy.CommitmentChanged, Domain: "example.org", Commitment: tlspolicy.Assumed, Reason: "why"},
			"warning: a commitment of example.org to STARTTLS is assumed: why"},
		{tlspolicy.Event{Kind: tlspolicy.CommitmentChanged, Domain: "example.org", Commitment: tlspolicy.NoCommitment, Reason: "why"},
			"info: example.org is not committed to STARTTLS: why"},
		{tlspolicy.Event{Kind: tlspolicy.Activated, Domain: "example.org", Reason: "why"},
			"warning: guard active: only your own list files hide STARTTLS from now on, not the default, DNS lists or feeds; the reason is example.org: why. To end this, withdraw what the domain publishes, or remove it from [guard] domains"},
		{tlspolicy.Event{Kind: tlspolicy.Deactivated},
			"info: guard inactive: no domain is committed to STARTTLS, so the default, DNS lists and feeds may hide it"},
		{tlspolicy.Event{Kind: tlspolicy.FileUnreadable, File: "/guard.json", Err: failed},
			"warning: cannot read /guard.json: a commitment to STARTTLS is assumed for each domain until it has been checked, and the file is not written before the next start"},
		{tlspolicy.Event{Kind: tlspolicy.FileInvalid, File: "/guard.json", Err: failed},
			"warning: invalid state file /guard.json: a commitment to STARTTLS is assumed for each domain until it has been checked"},
		{tlspolicy.Event{Kind: tlspolicy.FileNotWritten, File: "/guard.json", Err: failed},
			"warning: cannot write /guard.json, so commitments to STARTTLS are forgotten at a restart: make its directory writable for this user, or set another file in [guard] state"},
	} {
		log, lines := logtest.NewNullLogger()
		logGuardEvent(log, tc.event)
		if len(lines.AllEntries()) != 1 {
			t.Fatalf("%s: got %d lines, want 1", tc.event.Kind, len(lines.AllEntries()))
		}
		e := lines.LastEntry()
		if got := e.Level.String() + ": " + e.Message; got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
		if e.Data["error"] != nil && e.Data["error"] != failed || (e.Data["error"] == nil) != (tc.event.Err == nil) {
			t.Errorf("%s: got error %v, want %v", tc.event.Kind, e.Data["error"], tc.event.Err)
		}
		domain, _ := e.Data["domain"].(string)
		if of := strings.HasPrefix(string(tc.event.Kind), "check") || tc.event.Kind == tlspolicy.PolicyTesting || tc.event.Kind == tlspolicy.CommitmentChanged; (domain == "example.org") != of {
			t.Errorf("%s: got domain %q", tc.event.Kind, domain)
		}
	}
}
