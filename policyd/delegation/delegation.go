// Package delegation answers the policy delegation protocol of Postfix (SMTPD_POLICY_README): a request has one attribute a
// line and ends with an empty line; the reply is an action of access(5).
//
// It cannot change the EHLO reply. It decides again by client address, as the EHLO map did, so that the decision is in the
// log of Postfix. It refuses mail without TLS from clients that must use TLS. And it reports misconfigurations: a
// suppressed client that uses TLS all the same, and a suppressed client on a submission service.
package delegation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/printable"
	"ehlogate/policyd"
)

// Actions are the replies, each an access(5) action or a restriction class. {action}, {list} and {entry} are replaced by
// those of the decision. "" is DUNNO.
type Actions struct {
	Suppressed          string // STARTTLS is hidden from the client
	SuppressedEncrypted string // the same, but the client uses TLS
	RequireUnmet        string // the client must use TLS and sends mail without it
}

// DefaultActions returns actions that make Postfix log the decision, and refuse mail without required TLS.
func DefaultActions() *Actions {
	return &Actions{
		Suppressed:          "INFO starttls={action} list={list} entry={entry}",
		SuppressedEncrypted: "INFO starttls={action} encrypted=yes list={list} entry={entry}",
		RequireUnmet:        "450 4.7.0 TLS required",
	}
}

// CheckAction returns an error if text is not valid in Actions.
func CheckAction(text string) error {
	if len(text) > 500 || strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }) >= 0 {
		return errors.New("action must be one line of printable ASCII, at most 500 characters")
	}
	if rest := strings.NewReplacer("{action}", "", "{list}", "", "{entry}", "").Replace(text); strings.ContainsAny(rest, "{}") {
		return fmt.Errorf("unknown placeholder in %q", text)
	}
	return nil
}

// Server answers policy requests. All connections share one Server; each has a Protocol of its own, by Connection.
type Server struct {
	policyd.Backend
	// Actions returns the replies for a decision.
	Actions func(d lists.Decision) *Actions
	// Outcome is called for every outcome except OutcomeOffered, once in an SMTP session.
	//
	// Two sessions count as one only if nothing distinguishes them: same client address, same ports of client and
	// server, one directly after the other from one smtpd process (or as the last and the first on two connections), and
	// no request at CONNECT or after MAIL. One session counts as two if two restrictions of an smtpd spell the
	// service differently, since Postfix opens a connection for each.
	//
	// The names of the client are valid until Outcome returns.
	Outcome func(o lists.Outcome, c lists.Client, d lists.Decision)

	// TLSVersion is called once in an SMTP session on port 25 that sends mail or uses TLS, with the version of TLS; nil
	// means never. If a connection breaks within a session, it may be called again. The names of the client are valid until
	// it returns.
	TLSVersion func(v lists.TLSVersion, c lists.Client, d lists.Decision)

	recent recentSessions
}

func (s *Server) MaxRequest() int { return maxRequest }

func (c *conn) appendAction(ctx context.Context, r *request, out []byte) []byte {
	atEHLO := c.Decider.Decide(ctx, lists.Client{Addr: r.addr})
	full := atEHLO.Action
	if full == lists.Require && len(r.name)+len(r.helo) > 0 {
		full = c.Further().Decide(ctx, r.client()).Action
	}
	o := lists.JudgeSession(lists.Session{AtEHLO: atEHLO.Action, Full: full, Encrypted: r.isEncrypted(), Mail: r.isMail(),
		Submission: r.isSubmission(), Login: r.isLogin()})
	c.reportVersion(r, atEHLO)
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
	c.reportOutcome(o, r.viewClient(), atEHLO)
	if text == "" {
		return append(out, "DUNNO"...)
	}
	return expandAction(out, text, &atEHLO)
}

// expandAction appends an action, with the words in braces replaced by those of the decision.
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
			begin := len(out)
			out = d.AppendEntryText(out)
			if slices.ContainsFunc(out[begin:], func(b byte) bool { return b < ' ' || b >= 0x7f }) {
				out = append(out[:begin], printable.EscapeASCII(string(out[begin:]))...)
			}
		}
		text = rest
	}
}
