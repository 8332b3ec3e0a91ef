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
	if rest := words("", "", "").Replace(text); strings.ContainsAny(rest, "{}") {
		return fmt.Errorf("%q has a word in braces that is not known", text)
	}
	return nil
}

// words fills in what stands in braces.
func words(action, list, entry string) *strings.Replacer {
	return strings.NewReplacer("{action}", action, "{list}", list, "{entry}", entry)
}

// Server is the protocol over a backend.
type Server struct {
	policyd.Backend
	// Actions gives the present replies.
	Actions func() *Actions
	// Outcome is told of every outcome but an ordinary offer. session is the
	// same for all requests of one SMTP session, or empty.
	Outcome func(session string, o lists.Outcome, c lists.Client, d lists.Decision)
}

var _ policyd.Protocol = (*Server)(nil)

// MaxRequest implements policyd.Protocol.
func (s *Server) MaxRequest() int { return maxRequest }

// Answer implements policyd.Protocol.
func (s *Server) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	n := split(in)
	if n == 0 {
		return 0, out, nil
	}
	r, err := parse(in[:n])
	if err != nil {
		// Postfix asks to hang up in trouble, and then does what its
		// default_action says.
		return n, out, err
	}
	if !r.client.Addr.IsValid() && r.hasAddr {
		s.Fault(policyd.FaultKey, in[:n])
	}
	out = append(append(out, "action="...), s.action(ctx, &r)...)
	return n, append(out, "\n\n"...), nil
}

func (s *Server) action(ctx context.Context, r *request) string {
	atEHLO := s.Decider.Decide(ctx, lists.Client{Addr: r.client.Addr})
	full := atEHLO
	if atEHLO.Action == lists.Require && (r.client.Name != "" || r.client.HELO != "") {
		full = s.Decider.Decide(ctx, r.client)
	}
	o := lists.OutcomeOf(lists.Session{
		AtEHLO: atEHLO.Action, Full: full.Action, Encrypted: r.encrypted,
		Mail:       r.state != "CONNECT" && r.state != "EHLO" && r.state != "HELO" && r.state != "STARTTLS",
		Submission: r.port == "587" || r.port == "465" || r.login,
	})
	actions := s.Actions()
	text := ""
	switch o {
	case lists.OutcomeOffered:
		return "DUNNO"
	case lists.OutcomeSuppressed, lists.OutcomeSubmission:
		text = actions.Suppressed
	case lists.OutcomeSuppressedEncrypted:
		text = actions.SuppressedEncrypted
	case lists.OutcomeRequireUnmet:
		text = actions.RequireUnmet
	}
	s.Outcome(r.session(), o, r.client, atEHLO)
	if text == "" {
		return "DUNNO"
	}
	return fill(text, atEHLO)
}

// fill puts a decision into the words of an action.
func fill(text string, d lists.Decision) string {
	if !strings.Contains(text, "{") {
		return text
	}
	list := d.Reason.String()
	if d.List != nil {
		list = d.List.Name
	}
	return words(d.Action.String(), list, d.Entry().Text).Replace(text)
}
