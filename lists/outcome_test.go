package lists

import "testing"

func TestOutcomeOf(t *testing.T) {
	for _, tc := range []struct {
		session Session
		want    Outcome
	}{
		{Session{AtEHLO: Offer, Full: Offer, Mail: true, Submission: true}, OutcomeOffered},
		{Session{AtEHLO: Suppress}, OutcomeSuppressed},
		{Session{AtEHLO: Suppress, Mail: true}, OutcomeSuppressed},
		{Session{AtEHLO: Suppress, Encrypted: true}, OutcomeSuppressedEncrypted},
		// On submission a client that has not begun TLS yet does nothing wrong, and one that has neither.
		{Session{AtEHLO: Suppress, Submission: true}, OutcomeOffered},
		{Session{AtEHLO: Suppress, Submission: true, Encrypted: true, Mail: true}, OutcomeOffered},
		{Session{AtEHLO: Suppress, Submission: true, Login: true, Encrypted: true}, OutcomeOffered},
		{Session{AtEHLO: Suppress, Submission: true, Mail: true}, OutcomeSubmission},
		{Session{AtEHLO: Suppress, Submission: true, Login: true}, OutcomeSubmission},
		{Session{AtEHLO: Require, Full: Require}, OutcomeOffered},
		{Session{AtEHLO: Require, Full: Require, Mail: true}, OutcomeRequireUnmet},
		{Session{AtEHLO: Require, Full: Require, Mail: true, Encrypted: true}, OutcomeOffered},
		{Session{AtEHLO: Require, Full: Offer, Mail: true}, OutcomeOffered},
		{Session{AtEHLO: Offer, Full: Require, Mail: true}, OutcomeOffered},
	} {
		if got := JudgeSession(tc.session); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.session, got, tc.want)
		}
	}
}
