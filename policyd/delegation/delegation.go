// Package delegation answers the policy-delegation protocol of Postfix
// (SMTPD_POLICY_README): attributes, one a line, and an empty line; the reply
// is an action of access(5).
//
// It cannot change what EHLO says. It reports what the EHLO map, which is asked
// by address, did for this client, so that the decision stands in the log of
// Postfix; it refuses mail that comes without TLS from clients that must use
// it; and it notices what should not be: a suppressed client that uses TLS all
// the same, and one that is suppressed on a submission service.
package delegation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// Actions are the replies, each an access(5) action or a restriction class.
// {action}, {list} and {entry} stand for those of the decision. An empty one
// is DUNNO.
type Actions struct {
	Suppressed          string // STARTTLS was hidden from the client
	SuppressedEncrypted string // it was to be hidden, and the client uses TLS
	RequireUnmet        string // the client must use TLS, and sends mail without
}

// DefaultActions have Postfix log the decision.
func DefaultActions() *Actions {
	return &Actions{
		Suppressed:          "INFO starttls={action} list={list} entry={entry}",
		SuppressedEncrypted: "INFO starttls={action} encrypted=yes list={list} entry={entry}",
		RequireUnmet:        "450 4.7.0 TLS required",
	}
}

// CheckAction says what is wrong with a text for Actions.
func CheckAction(text string) error {
	if len(text) > 500 || strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }) >= 0 {
		return errors.New("an action is one line of printable ASCII, at most 500 characters")
	}
	if rest := strings.NewReplacer("{action}", "", "{list}", "", "{entry}", "").Replace(text); strings.ContainsAny(rest, "{}") {
		return fmt.Errorf("%q has a word in braces that is not known", text)
	}
	return nil
}

// Server is the protocol over a backend.
type Server struct {
	policyd.Backend
	// Actions gives the present replies.
	Actions func() *Actions
	// Outcome is told of every outcome but an ordinary offer. session is the
	// same for all requests of one SMTP session; 0 if that is not known.
	Outcome func(session uint64, o lists.Outcome, c lists.Client, d lists.Decision)
}

var _ policyd.Protocol = (*Server)(nil)

// MaxRequest implements policyd.Protocol.
func (s *Server) MaxRequest() int { return maxRequest }

// Answer implements policyd.Protocol.
func (s *Server) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	r, n, err := parse(in)
	if n == 0 || err != nil {
		// Postfix asks to hang up in trouble, and then does what its
		// default_action says.
		return n, out, err
	}
	if !r.addr.IsValid() && r.hasAddr {
		s.Fault(policyd.FaultKey, in[:n])
	}
	out = s.action(ctx, &r, append(out, "action="...))
	return n, append(out, "\n\n"...), nil
}

// action appends what is to be done.
func (s *Server) action(ctx context.Context, r *request, out []byte) []byte {
	atEHLO := s.Decider.Decide(ctx, lists.Client{Addr: r.addr})
	full := atEHLO.Action
	if full == lists.Require && len(r.name)+len(r.helo) > 0 {
		full = s.Decider.Decide(policyd.NoWait, r.client()).Action
	}
	o := lists.OutcomeOf(lists.Session{AtEHLO: atEHLO.Action, Full: full, Encrypted: r.encrypted, Mail: r.inMail(), Submission: r.submission()})
	actions := s.Actions()
	text := ""
	switch o {
	case lists.OutcomeOffered:
		return append(out, "DUNNO"...)
	case lists.OutcomeSuppressed, lists.OutcomeSubmission:
		text = actions.Suppressed
	case lists.OutcomeSuppressedEncrypted:
		text = actions.SuppressedEncrypted
	case lists.OutcomeRequireUnmet:
		text = actions.RequireUnmet
	}
	s.Outcome(r.session(), o, r.client(), atEHLO)
	if text == "" {
		return append(out, "DUNNO"...)
	}
	return fill(out, text, &atEHLO)
}

// fill appends an action with a decision in place of the words in braces.
func fill(out []byte, text string, d *lists.Decision) []byte {
	for {
		before, rest, ok := strings.Cut(text, "{")
		out = append(out, before...)
		if !ok {
			return out
		}
		word, rest, _ := strings.Cut(rest, "}")
		switch word {
		case "action":
			out = append(out, d.Action.String()...)
		case "list":
			if d.List != nil {
				out = append(out, d.List.Name...)
			} else {
				out = append(out, d.Reason.String()...)
			}
		case "entry":
			out = append(out, d.Entry().Text...)
		}
		text = rest
	}
}
