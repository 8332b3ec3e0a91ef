package lists

// Session is what policy and milter see of an SMTP session behind EHLO.
type Session struct {
	AtEHLO     Action // the decision on the address alone, which EHLO went by
	Full       Action // the decision on all that is known of the client
	Encrypted  bool   // TLS is in use
	Mail       bool   // the client sends mail, and it is known whether TLS is in use
	Submission bool   // port 587 or 465, or the client has logged in
	Login      bool   // the client has logged in
}

// Outcome is what became of a decision.
type Outcome uint8

const (
	// OutcomeOffered: STARTTLS was offered, and nothing is amiss.
	OutcomeOffered Outcome = iota
	// OutcomeSuppressed: STARTTLS was hidden, and the client does without.
	OutcomeSuppressed
	// OutcomeSuppressedEncrypted: STARTTLS should have been hidden, and the
	// client uses TLS: the mail server does not ask, or asked somebody else.
	OutcomeSuppressedEncrypted
	// OutcomeRequireUnmet: the client must use TLS, and sends mail without.
	OutcomeRequireUnmet
	// OutcomeSubmission: STARTTLS is hidden from a client that submits mail,
	// whose password therefore goes in the clear. The mail server is
	// misconfigured.
	OutcomeSubmission

	// OutcomeCount is how many outcomes there are.
	OutcomeCount
)

var outcomeNames = [...]string{
	OutcomeOffered: "offered", OutcomeSuppressed: "suppressed", OutcomeSuppressedEncrypted: "suppressed-encrypted",
	OutcomeRequireUnmet: "require-unmet", OutcomeSubmission: "suppressed-submission",
}

// String gives the word that stands in logs and metrics.
func (o Outcome) String() string { return wordAt(outcomeNames[:], int(o)) }

// JudgeSession judges a session. TLS is demanded only where EHLO offered it for
// that reason: a list of names or of HELO names that EHLO did not know of may
// say otherwise.
//
// On submission STARTTLS is never hidden, if all is well: then a client may use
// it, and one that has not done so yet may still. Only mail or a login in the
// clear shows that something is amiss.
func JudgeSession(s Session) Outcome {
	switch {
	case s.AtEHLO == Suppress && s.Submission:
		if !s.Encrypted && (s.Mail || s.Login) {
			return OutcomeSubmission
		}
		return OutcomeOffered
	case s.AtEHLO == Suppress && s.Encrypted:
		return OutcomeSuppressedEncrypted
	case s.AtEHLO == Suppress:
		return OutcomeSuppressed
	case s.AtEHLO == Require && s.Full == Require && s.Mail && !s.Encrypted:
		return OutcomeRequireUnmet
	}
	return OutcomeOffered
}
