package policyd

import (
	"testing"

	"ehlogate/lists"
)

func TestValues(t *testing.T) {
	hide := func(names ...string) *lists.Hidden {
		h := new(lists.Hidden)
		for _, name := range names {
			h.Keywords |= lists.MustParseKeyword(name)
		}
		return h
	}
	for _, tc := range []struct {
		always           []string
		explicit         bool
		d                lists.Decision
		smtp, submission string
	}{
		{always: []string{"etrn"}},
		{always: []string{"etrn"}, explicit: true, smtp: "etrn, silent-discard", submission: "etrn, silent-discard"},
		{d: lists.Decision{Hidden: hide("dsn")}, smtp: "dsn", submission: "dsn"},
		{always: []string{"etrn", "DSN"}, explicit: true, d: lists.Decision{Hidden: hide("dsn", "auth")}, smtp: "etrn, DSN, auth", submission: "etrn, DSN, auth"},
		{always: []string{"auth", "x-own"}, d: lists.Decision{Hidden: hide("dsn")}, smtp: "auth, x-own, dsn", submission: "x-own, dsn"},
		{always: []string{"auth"}, d: lists.Decision{Hidden: hide("auth")}, smtp: "auth", submission: "auth"},
		{d: lists.Decision{Verdict: lists.Verdict{Action: lists.Suppress}, Hidden: hide("dsn")}, smtp: "dsn, starttls", submission: "dsn"},
		{d: lists.Decision{Verdict: lists.Verdict{Action: lists.Suppress}, Hidden: hide()}, smtp: "starttls"},
		{always: []string{"auth"}, d: lists.Decision{Verdict: lists.Verdict{Action: lists.Suppress}, Hidden: hide()}, smtp: "auth, starttls"},
		{d: lists.Decision{Verdict: lists.Verdict{Action: lists.Require}}},
	} {
		v := NewValues(tc.always, tc.explicit)
		for service, want := range map[lists.Service]string{lists.SMTP: tc.smtp, lists.Submission: tc.submission} {
			if got := string(v.Append([]byte("x"), service, &tc.d)); got != "x"+want {
				t.Errorf("always %q, explicit %v, %s, hidden %s, on %s: got %q, want %q", tc.always, tc.explicit, tc.d.Action, tc.d.Hide(), service, got, want)
			}
		}
	}
}
