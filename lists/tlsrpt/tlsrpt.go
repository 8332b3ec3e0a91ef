// Package tlsrpt reads SMTP TLS reports (RFC 8460), in which other mail servers tell how TLS went when they sent mail to
// a domain, finds out which of them can be believed, and keeps what was found.
//
// A report is written by a stranger, and real ones differ from the RFC: fields are missing, empty, or of another type.
// What can be understood is read, what is too much is left out and counted, and no text is longer than a bound.
package tlsrpt

import (
	"net/netip"
	"time"
)

// The bounds of what is read. Real reports have some kilobytes.
const (
	maxMessage  = 16 << 20 // bytes of a message, or of a file that is a report itself
	maxText     = 16 << 20 // bytes of all JSON in one message, decoded
	maxDepth    = 16       // of JSON, and of parts in parts
	maxParts    = 100      // of one message, at all depths
	maxPolicies = 1000     // of one report
	maxDetails  = 10000    // of one report
	maxStrings  = 100      // of one list of strings
	maxString   = 500      // bytes
)

// ResultNoSTARTTLS is the result type of sessions in which the sender relied on a promise of STARTTLS, did not see it, and
// so kept its mail (RFC 8460 section 4.3.1).
const ResultNoSTARTTLS = "starttls-not-supported"

// Report is a report, as the sender wrote it. Its texts are not fit to be shown unless they are escaped.
type Report struct {
	Organization string    `json:"organization"`
	Contact      string    `json:"contact,omitempty"`
	ID           string    `json:"report_id"`
	Start        time.Time `json:"start,omitzero"`
	End          time.Time `json:"end,omitzero"`
	Policies     []Policy  `json:"policies"`
	// Skipped is the number of policies and failures that were left out, since there are too many.
	Skipped int `json:"skipped,omitempty"`
}

// Policy is what a report says of one policy of a domain.
type Policy struct {
	Type      string    `json:"type"` // sts, tlsa or no-policy-found
	Domain    string    `json:"domain"`
	Strings   []string  `json:"strings,omitempty"`
	MX        []string  `json:"mx,omitempty"`
	Successes int64     `json:"successful_sessions"`
	Failures  int64     `json:"failed_sessions"`
	Details   []Failure `json:"failures,omitempty"`
}

// Failure is one kind of failure.
type Failure struct {
	Result   string     `json:"result"`
	Sender   netip.Addr `json:"sending_mta_ip,omitzero"` // of the client; not valid if the report does not have it
	MX       string     `json:"mx,omitempty"`
	HELO     string     `json:"helo,omitempty"`
	Receiver netip.Addr `json:"receiving_ip,omitzero"`
	Sessions int64      `json:"sessions"`
	Reason   string     `json:"reason,omitempty"`
	Info     string     `json:"info,omitempty"`
}

// Item is a report that was found, or why there is none.
type Item struct {
	Source string // the file, and the message in it if it has several
	Report *Report
	Mail   *Mail // that the report came with; nil: it is a bare file, which has no sender that can be checked
	Err    error
}
