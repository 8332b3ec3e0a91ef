package tlsreport

import (
	"time"

	"ehlogate/lists/maillog"
)

// Sessions are those of a client on port 25 in the time of a report, as the mail log tells.
type Sessions struct {
	Sessions   int64     `json:"sessions"`
	NotOffered int64     `json:"not_offered"` // the mail server hid STARTTLS
	TLS        int64     `json:"tls"`         // with TLS
	Failed     int64     `json:"failed"`      // TLS was tried, and failed
	Accepted   int64     `json:"accepted"`    // mail was accepted, with TLS or without
	Clear      int64     `json:"clear"`       // mail was accepted without TLS
	First      time.Time `json:"first,omitzero"`
	Last       time.Time `json:"last,omitzero"`
}

func (n *Sessions) add(s *maillog.Session) {
	n.Sessions++
	switch s.TLS {
	case maillog.TLSNotOffered:
		n.NotOffered++
	case maillog.TLSOK:
		n.TLS++
	case maillog.TLSFailed:
		n.Failed++
	}
	if s.Mail == maillog.MailAccepted {
		n.Accepted++
		if s.TLS != maillog.TLSOK {
			n.Clear++
		}
	}
	if n.First.IsZero() || s.Time.Before(n.First) {
		n.First = s.Time
	}
	if s.Time.After(n.Last) {
		n.Last = s.Time
	}
}
