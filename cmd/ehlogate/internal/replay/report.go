package replay

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists/maillog"
)

// Report is the result of a replay. Its JSON is documented in ehlogate(8), and fields are only ever added.
type Report struct {
	From             time.Time  `json:"from"` // of the first session
	To               time.Time  `json:"to"`   // of the last
	Interrupted      bool       `json:"interrupted"`
	Log              Log        `json:"log"`
	Port25           Port25     `json:"port25"`
	Submission       int64      `json:"submission_sessions"`
	Suppressed       Suppressed `json:"suppressed"`
	Hidden           []Hidden   `json:"hidden"`              // by lists with hide, on submission too
	Overridden       int64      `json:"overridden_sessions"` // the guard keeps STARTTLS
	Handshakes       Handshakes `json:"handshakes"`
	Failed           Failed     `json:"failed"`
	IncapableClients int64      `json:"incapable_clients"` // never completed TLS
	Incapable        []Client   `json:"incapable"`         // --top of them
	RejectingClients int64      `json:"rejecting_clients"` // do not accept the certificate
	Rejecting        []Client   `json:"rejecting"`         // --top of them
	// Fallback and Earned are there if the config has such lists.
	Fallback *LearnedReport `json:"fallback,omitempty"`
	Earned   *LearnedReport `json:"earned,omitempty"`
	Advice   []string       `json:"advice"`
	Notes    []string       `json:"notes"` // on what the log or the policy does not tell
}

// Log is what was read.
type Log struct {
	Lines    int64 `json:"lines"`
	Mail     int64 `json:"mail_lines"` // of programs that have to do with clients
	Unframed int64 `json:"unframed_lines"`
	Unclear  int64 `json:"unclear_lines"` // not used: a client wrote what looks like a server's
}

// Port25 has the sessions that a policy is about.
type Port25 struct {
	Sessions   int64 `json:"sessions"`
	Clients    int64 `json:"clients"`
	TLS        int64 `json:"tls_sessions"`
	TLSFailed  int64 `json:"tls_failed_sessions"`
	NotOffered int64 `json:"not_offered_sessions"`
	Plain      int64 `json:"plain_sessions"`
}

// Suppressed has the sessions in which STARTTLS would be hidden. Each of their clients is in one of the last three.
type Suppressed struct {
	Sessions  int64   `json:"sessions"`
	Clients   int64   `json:"clients"`
	By        []Share `json:"by"`
	TLSMail   TLSMail `json:"mail_over_tls"` // would go in the clear
	ClearMail Mail    `json:"mail_in_clear"` // goes in the clear anyway
	NoMail    int64   `json:"no_mail_clients"`
}

// Share is what one list, or the default, suppresses.
type Share struct {
	List     string `json:"list,omitempty"`
	Reason   string `json:"reason"`
	Sessions int64  `json:"sessions"`
}

// Mail is mail of some clients.
type Mail struct {
	Clients  int64 `json:"clients"`
	Messages int64 `json:"messages"`
}

// TLSMail is mail that clients sent over TLS.
type TLSMail struct {
	Clients  int64    `json:"clients"`
	Messages int64    `json:"messages"`
	Top      []Client `json:"top,omitempty"`
}

// Handshakes are those that suppression avoids.
type Handshakes struct {
	Avoided int64   `json:"avoided"`
	CPU     float64 `json:"cpu_seconds"` // of a server like this machine, with a key of RSA 2048
}

// Failed has the sessions whose TLS failed for a reason that is not this server's.
type Failed struct {
	Sessions int64          `json:"sessions"`
	Clients  int64          `json:"clients"`
	Outcomes []OutcomeCount `json:"outcomes"`
}

// OutcomeCount counts clients by what their failures mean.
type OutcomeCount struct {
	Outcome  string `json:"outcome"`
	Clients  int64  `json:"clients"`
	Sessions int64  `json:"sessions"`
}

// Client is one client. What does not matter in its place is left out.
type Client struct {
	Addr     string    `json:"addr"`
	Name     string    `json:"name,omitempty"`
	Messages int64     `json:"messages"`
	Class    string    `json:"class,omitempty"`         // of the first failure
	Others   bool      `json:"other_classes,omitempty"` // some of the failures have another class
	Failures int64     `json:"failures,omitempty"`
	First    time.Time `json:"first_failure,omitzero"`
	Last     time.Time `json:"last_failure,omitzero"`
}

// outcomeOrder has the outcomes of failures. A client that had several counts for the first.
var outcomeOrder = []maillog.Outcome{
	maillog.OutcomeScanner, maillog.OutcomeIncapable, maillog.OutcomePlaintextClient, maillog.OutcomeCertRejected,
	maillog.OutcomeCertRejectedLater, maillog.OutcomeAttackOrBroken, maillog.OutcomeTransient, maillog.OutcomeAmbiguous,
}

// Report draws the conclusions. top bounds the clients that are named.
func (t *Tally) Report(stats maillog.Stats, top int) *Report {
	r := &Report{
		Incapable: []Client{}, Rejecting: []Client{}, Advice: []string{}, Notes: []string{}, // empty, and never null
		From: t.first.UTC(), To: t.last.UTC(), Submission: t.submission, Overridden: t.overridden, Hidden: t.reportHidden(),
		Log: Log{stats.Lines, stats.Mail, stats.Unframed, stats.Unclear},
		Port25: Port25{Sessions: t.port25, Clients: int64(len(t.clients)), TLS: t.tls[maillog.TLSOK], TLSFailed: t.tls[maillog.TLSFailed],
			NotOffered: t.tls[maillog.TLSNotOffered], Plain: t.tls[maillog.TLSNone]},
	}
	r.Suppressed.By, r.Failed.Outcomes = []Share{}, []OutcomeCount{}
	r.Suppressed.Sessions, r.Handshakes.Avoided = t.suppressed, t.handshakes
	for by, sessions := range t.by {
		r.Suppressed.By = append(r.Suppressed.By, Share{by.list, by.reason.String(), sessions})
	}
	slices.SortFunc(r.Suppressed.By, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.List, b.List), cmp.Compare(a.Reason, b.Reason))
	})
	t.countClients(r, top)
	for _, o := range outcomeOrder {
		r.Failed.Sessions += t.sessionsOf[o]
	}
	if t.handshakes > 0 {
		r.Handshakes.CPU = float64(t.handshakes) * handshakeCost().Seconds()
	}
	t.advise(r)
	t.noteGaps(r, stats)
	return r
}

func (t *Tally) countClients(r *Report, top int) {
	byOutcome := map[maillog.Outcome]int64{}
	failures := func(c Client) int64 { return c.Failures }
	incapable, rejecting := newTop(top, failures), newTop(top, failures)
	tlsMail := newTop(top, func(c Client) int64 { return c.Messages })
	for key, id := range t.clients {
		c := &t.stats[id/chunk][id%chunk]
		describe := func(messages uint32) Client {
			return Client{Addr: netip.AddrFrom16(key).Unmap().String(), Name: t.names[id], Messages: int64(messages)}
		}
		if c.suppressed > 0 {
			r.Suppressed.Clients++
			switch {
			case c.tlsMessages > 0:
				r.Suppressed.TLSMail.Clients++
				r.Suppressed.TLSMail.Messages += int64(c.tlsMessages)
				tlsMail.add(describe(c.tlsMessages))
			case c.clearMessages > 0:
				r.Suppressed.ClearMail.Clients++
				r.Suppressed.ClearMail.Messages += int64(c.clearMessages)
			default:
				r.Suppressed.NoMail++
			}
		}
		if c.outcomes == 0 {
			continue
		}
		r.Failed.Clients++
		byOutcome[c.outcome()]++
		if !c.isIncapable() && !c.isRejecting() {
			continue
		}
		d := describe(c.delivered)
		d.Class, d.Others, d.Failures = c.class.String(), c.otherClass, int64(c.failed)
		d.First, d.Last = time.Unix(int64(c.firstFailed), 0).UTC(), time.Unix(int64(c.lastFailed), 0).UTC()
		if c.isIncapable() {
			r.IncapableClients++
			incapable.add(d)
		} else {
			r.RejectingClients++
			rejecting.add(d)
		}
	}
	r.Suppressed.TLSMail.Top = tlsMail.sorted()
	r.Incapable, r.Rejecting = append(r.Incapable, incapable.sorted()...), append(r.Rejecting, rejecting.sorted()...)
	for _, o := range outcomeOrder {
		if n := byOutcome[o]; n > 0 {
			r.Failed.Outcomes = append(r.Failed.Outcomes, OutcomeCount{o.String(), n, t.sessionsOf[o]})
		}
	}
}

// outcome returns what the failures of a client mean.
func (c *client) outcome() maillog.Outcome {
	for _, o := range outcomeOrder {
		if c.outcomes&(1<<o) != 0 {
			return o
		}
	}
	return maillog.OutcomeAmbiguous
}

// isIncapable reports whether all that is known says that the client cannot do TLS with this server.
func (c *client) isIncapable() bool {
	return c.outcome() == maillog.OutcomeIncapable && c.tlsOK == 0 && !c.loggedIn
}

// isRejecting reports whether the client does not accept the certificate of the server.
func (c *client) isRejecting() bool {
	return c.outcomes != 0 && (c.outcome() == maillog.OutcomeCertRejected || c.outcome() == maillog.OutcomeCertRejectedLater)
}
