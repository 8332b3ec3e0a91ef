package tlsrpt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// The forms in which reports have their fields. Drafts of the RFC had other names, and one policy without a list, which
// some senders still write.
type (
	rawReport struct {
		Organization text `json:"organization-name"`
		Range        struct {
			Start moment `json:"start-datetime"`
			End   moment `json:"end-datetime"`
		} `json:"date-range"`
		Contact  text            `json:"contact-info"`
		Email    text            `json:"email-address"`
		ID       text            `json:"report-id"`
		Policies json.RawMessage `json:"policies"`
		rawEntry                 // of a report with one policy and no list
	}
	rawEntry struct {
		Policy  *rawPolicy `json:"policy"`
		Summary struct {
			Successes    count `json:"total-successful-session-count"`
			Failures     count `json:"total-failure-session-count"`
			OldSuccesses count `json:"success-aggregate"`
			OldFailures  count `json:"failure-aggregate"`
		} `json:"summary"`
		Details   json.RawMessage `json:"failure-details"`
		rawPolicy                 // of an entry that has the fields of the policy itself
	}
	rawPolicy struct {
		Type    text  `json:"policy-type"`
		Strings texts `json:"policy-string"`
		Domain  text  `json:"policy-domain"`
		MX      texts `json:"mx-host"`
	}
	rawFailure struct {
		Result      text    `json:"result-type"`
		Sender      address `json:"sending-mta-ip"`
		MX          text    `json:"receiving-mx-hostname"`
		HELO        text    `json:"receiving-mx-helo"`
		Receiver    address `json:"receiving-ip"`
		Sessions    count   `json:"failed-session-count"`
		OldSessions count   `json:"session-count"`
		Reason      text    `json:"failure-reason-code"`
		OldReason   text    `json:"failure-error-code"`
		Info        text    `json:"additional-information"`
		OldInfo     text    `json:"additional-info-uri"`
	}
)

// Parse reads the JSON of a report. An error has the line and column.
func Parse(doc []byte) (*Report, error) {
	doc = bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
	if offset := tooDeep(doc); offset >= 0 {
		return nil, atOffset(doc, offset, fmt.Errorf("more than %d levels of lists and objects", maxDepth))
	}
	var raw rawReport
	d := json.NewDecoder(bytes.NewReader(doc))
	if err := d.Decode(&raw); err != nil {
		return nil, locateError(doc, err)
	}
	if rest := doc[d.InputOffset():]; len(bytes.Trim(rest, " \t\r\n\x00")) > 0 {
		return nil, atOffset(doc, int(d.InputOffset()), errors.New("text after the end of the report"))
	}
	return raw.report()
}

// report returns what the fields mean.
func (raw *rawReport) report() (*Report, error) {
	r := &Report{Organization: string(raw.Organization), Contact: firstOf(raw.Contact, raw.Email), ID: string(raw.ID),
		Start: raw.Range.Start.Time, End: raw.Range.End.Time, Policies: []Policy{}}
	entries := []rawEntry{raw.rawEntry}
	switch {
	case len(raw.Policies) > 0:
		var err error
		if entries, r.Skipped, err = decodeList[rawEntry](raw.Policies, maxPolicies); err != nil {
			return nil, fmt.Errorf("policies: %w", describeError(err))
		}
	case raw.Policy == nil:
		return nil, errors.New("no TLS report: it has no policies")
	}
	left := maxDetails
	for _, entry := range entries {
		p, skipped, err := entry.policy(left)
		if err != nil {
			return nil, fmt.Errorf("failure-details: %w", describeError(err))
		}
		left -= len(p.Details)
		r.Skipped += skipped
		r.Policies = append(r.Policies, p)
	}
	if r.Start.After(r.End) {
		r.Start, r.End = r.End, r.Start
	}
	if r.Start.IsZero() {
		r.Start = r.End
	}
	return r, nil
}

// policy returns what the fields mean, with at most limit failures.
func (raw *rawEntry) policy(limit int) (Policy, int, error) {
	named := raw.rawPolicy
	if raw.Policy != nil {
		named = *raw.Policy
	}
	s := raw.Summary
	p := Policy{Type: string(named.Type), Domain: strings.ToLower(string(named.Domain)), Strings: named.Strings, MX: named.MX,
		Successes: int64(max(s.Successes, s.OldSuccesses)), Failures: int64(max(s.Failures, s.OldFailures))}
	if len(raw.Details) == 0 {
		return p, 0, nil
	}
	details, skipped, err := decodeList[rawFailure](raw.Details, limit)
	for _, d := range details {
		p.Details = append(p.Details, Failure{Result: strings.ToLower(string(d.Result)), Sender: d.Sender.Addr, MX: string(d.MX), HELO: string(d.HELO),
			Receiver: d.Receiver.Addr, Sessions: int64(max(d.Sessions, d.OldSessions)), Reason: firstOf(d.Reason, d.OldReason), Info: firstOf(d.Info, d.OldInfo)})
	}
	return p, skipped, err
}

// Covers reports whether a time is in the range of the report.
func (r *Report) Covers(t time.Time) bool { return !t.Before(r.Start) && !t.After(r.End) }

func firstOf(one, other text) string {
	if one != "" {
		return string(one)
	}
	return string(other)
}

// tooDeep returns the offset at which JSON is deeper than maxDepth; -1 if it is nowhere.
func tooDeep(doc []byte) int {
	depth, inString := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return i
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return -1
}

// locateError adds the place to an error of JSON.
func locateError(doc []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("empty: no report")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return atOffset(doc, len(doc), errors.New("the report ends too early: it was cut off"))
	case errors.As(err, &syntax):
		return atOffset(doc, int(syntax.Offset)-1, fmt.Errorf("invalid JSON: %w", err))
	case errors.As(err, &kind):
		return atOffset(doc, int(kind.Offset)-1, describeError(err))
	}
	return err
}

// describeError returns an error of JSON in words of the report.
func describeError(err error) error {
	if kind := new(json.UnmarshalTypeError); errors.As(err, &kind) {
		return fmt.Errorf("no TLS report: %s where an object belongs", kind.Value)
	}
	return err
}

// placeError is an error at a place in a text.
type placeError struct {
	line, column int
	err          error
}

func (e *placeError) Error() string { return fmt.Sprintf("%d:%d: %v", e.line, e.column, e.err) }

func (e *placeError) Unwrap() error { return e.err }

func atOffset(doc []byte, offset int, err error) error {
	before := doc[:max(0, min(offset, len(doc)))]
	return &placeError{1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n'), err}
}
