package replay

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	"ehlogate/lists/maillog"
)

// Session is a session as --sessions writes it, one JSON object a line. It is documented in ehlogate(8), and fields are only
// ever added.
type Session struct {
	Time     time.Time `json:"time"`
	MTA      string    `json:"mta"`
	Host     string    `json:"host"`
	Service  string    `json:"service"`
	Addr     string    `json:"addr"`
	Name     string    `json:"name"`
	HELO     string    `json:"helo"`
	TLS      string    `json:"tls"`
	Version  string    `json:"version"`
	Class    string    `json:"class"`
	Outcome  string    `json:"outcome"`
	Mail     string    `json:"mail"`
	Messages int       `json:"messages"`
	Decision string    `json:"decision"`       // empty on submission
	List     string    `json:"list"`           // that decides; empty if none does
	Hide     []string  `json:"hide,omitempty"` // EHLO keywords that are hidden besides STARTTLS
}

// SessionWriter writes sessions.
type SessionWriter struct {
	encoder *json.Encoder
	redact  *Redactor
}

// NewSessionWriter returns a SessionWriter. redact may be nil.
func NewSessionWriter(w io.Writer, redact *Redactor) *SessionWriter {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &SessionWriter{e, redact}
}

// Write writes a session, and the decision about it. On submission STARTTLS is always offered, so that is left out.
func (w *SessionWriter) Write(s *maillog.Session, v *Verdict) error {
	out := Session{
		Time: s.Time.UTC(), MTA: s.Server.String(), Host: w.redact.Name(s.Host), Service: w.redact.Service(s.Service), Addr: w.redact.Addr(s.Addr.String()),
		Name: w.redact.Name(s.Name), HELO: w.redact.Name(s.HELO), TLS: s.TLS.String(), Version: s.Version,
		Class: s.Class.String(), Outcome: s.Outcome.String(), Mail: s.Mail.String(), Messages: s.Messages,
		Hide: slices.Collect(v.Hide.All()),
	}
	if s.IsPort25() {
		out.Decision, out.List = v.Action.String(), v.ListName()
	}
	return w.encoder.Encode(out)
}
