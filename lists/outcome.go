package lists

// Session is what the policy and milter protocols see of an SMTP session after EHLO.
type Session struct {
	AtEHLO     Action // the decision on the address alone, which took effect at EHLO
	Full       Action // the decision on all that is known of the client
	Encrypted  bool   // TLS is in use
	Mail       bool   // the client sends mail, and it is known whether TLS is in use
	Submission bool   // port 587 or 465, or the client has logged in
	Login      bool   // the client has logged in
}

// Outcome is the effect of a decision on a session.
type Outcome uint8

const (
	// OutcomeOffered means that STARTTLS was offered and all is well.
	OutcomeOffered Outcome = iota
	// OutcomeSuppressed means that STARTTLS was hidden and the client sends in the clear.
	OutcomeSuppressed
	// OutcomeSuppressedEncrypted means that STARTTLS should have been hidden, and the client uses TLS: the mail server does
	// not query ehlogate at EHLO, or got another answer.
	OutcomeSuppressedEncrypted
	// OutcomeRequireUnmet means that the client must use TLS and sends mail without.
	OutcomeRequireUnmet
	// OutcomeSubmission means that STARTTLS is hidden from a client that submits mail, so that its password is sent in the
	// clear. The mail server is misconfigured.
	OutcomeSubmission

	// OutcomeCount is the number of outcomes.
	OutcomeCount
)

var outcomeNames = [...]string{
	OutcomeOffered: "offered", OutcomeSuppressed: "suppressed", OutcomeSuppressedEncrypted: "suppressed-encrypted",
	OutcomeRequireUnmet: "require-unmet", OutcomeSubmission: "suppressed-submission",
}

// String returns the word used in logs and metrics.
func (o Outcome) String() string { return enumName(outcomeNames[:], int(o)) }

// JudgeSession returns the outcome of a session. TLS is required only if the decision at EHLO, which knew the address
// alone, required it too.
//
// On submission STARTTLS should never be hidden. A client that has not used it yet still can, so only mail or a login in
// the clear shows that it is hidden.
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
