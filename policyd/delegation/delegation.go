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
	// Actions gives the replies to a decision.
	Actions func(d lists.Decision) *Actions
	// Outcome is called for every outcome but an ordinary offer, once in an SMTP
	// session.
	//
	// Two sessions count as one only if nothing tells them apart: they have the
	// same client address, the same ports of client and server, come directly
	// after each other from one smtpd process, or as the last and the first on
	// two connections, and are asked about neither at CONNECT nor behind MAIL.
	// One session counts as two if two restrictions of a smtpd name the service
	// in different words, since Postfix opens a connection for each.
	Outcome func(o lists.Outcome, c lists.Client, d lists.Decision)

	recent
}

// MaxRequest is that of policyd.Protocol.
func (s *Server) MaxRequest() int { return maxRequest }

// action appends what is to be done.
func (c *conn) appendAction(ctx context.Context, r *request, out []byte) []byte {
	atEHLO := c.Decider.Decide(ctx, lists.Client{Addr: r.addr})
	full := atEHLO.Action
	if full == lists.Require && len(r.name)+len(r.helo) > 0 {
		full = c.Decider.Decide(policyd.NoWait, r.client()).Action
	}
	o := lists.JudgeSession(lists.Session{AtEHLO: atEHLO.Action, Full: full, Encrypted: r.encrypted, Mail: r.isMail(),
		Submission: r.isSubmission(), Login: r.login})
	actions := c.Actions(atEHLO)
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
	c.reportOutcome(o, r.client(), atEHLO)
	if text == "" {
		return append(out, "DUNNO"...)
	}
	return expandAction(out, text, &atEHLO)
}

// fill appends an action with a decision in place of the words in braces.
func expandAction(out []byte, text string, d *lists.Decision) []byte {
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
