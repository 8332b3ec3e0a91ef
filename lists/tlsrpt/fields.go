package tlsrpt

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/printable"
)

// text is a string of a report. A number or another value in its place is read as it is written.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(value []byte) error {
	var s string
	switch {
	case value[0] == '"':
		if err := json.Unmarshal(value, &s); err != nil {
			return err
		}
	case string(value) != "null":
		s = string(value[:min(len(value), 2*maxString)])
	}
	*t = text(strings.Clone(printable.Shorten(strings.TrimSpace(s), maxString))) // without the memory of the rest
	return nil
}

// texts is a list of strings. The example of RFC 8460 has one string in place of a list.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(value []byte) error {
	all, _, err := decodeList[text](value, maxStrings)
	for _, s := range all {
		if s != "" {
			*t = append(*t, string(s))
		}
	}
	return err
}

// count is a number of sessions, which may be a string or have a fraction. What is none counts as 0.
type count int64

// maxCount is the greatest count that JSON keeps exactly.
const maxCount = 1 << 53

// UnmarshalJSON implements [json.Unmarshaler].
func (c *count) UnmarshalJSON(value []byte) error {
	n, err := strconv.ParseFloat(strings.Trim(string(value), "\" "), 64)
	if err == nil && n > 0 {
		*c = count(min(n, maxCount))
	}
	return nil
}

// address is an IP address, in brackets or not. What is none, such as an empty string, is the zero address.
type address struct{ netip.Addr }

// UnmarshalJSON implements [json.Unmarshaler].
func (a *address) UnmarshalJSON(value []byte) error {
	var t text
	if err := t.UnmarshalJSON(value); err != nil {
		return err
	}
	host := string(t)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, _ := lists.ParseAddr(host)
	a.Addr = addr
	return nil
}

// moment is a time. One without a zone is UTC; a number counts seconds since 1970. What is none is the zero time.
type moment struct{ time.Time }

var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", time.DateTime, time.DateOnly}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *moment) UnmarshalJSON(value []byte) error {
	var t text
	if err := t.UnmarshalJSON(value); err != nil {
		return err
	}
	if seconds, err := strconv.ParseInt(string(t), 10, 64); err == nil && seconds > 0 && seconds < 1<<33 {
		m.Time = time.Unix(seconds, 0).UTC()
		return nil
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, string(t)); err == nil && at.Year() >= 1970 && at.Year() < 2200 {
			m.Time = at.UTC()
			return nil
		}
	}
	return nil
}

// decodeList decodes at most limit elements of a list, and counts the others. A value that is no list is one element.
func decodeList[T any](value []byte, limit int) (all []T, skipped int, err error) {
	if string(value) == "null" {
		return nil, 0, nil
	}
	if value[0] != '[' {
		var one T
		err := json.Unmarshal(value, &one)
		return []T{one}, 0, err
	}
	d := json.NewDecoder(bytes.NewReader(value))
	if _, err := d.Token(); err != nil {
		return nil, 0, err
	}
	for d.More() {
		if len(all) >= limit {
			var ignored json.RawMessage
			if err := d.Decode(&ignored); err != nil {
				return nil, 0, err
			}
			skipped++
			continue
		}
		var one T
		if err := d.Decode(&one); err != nil {
			return nil, 0, err
		}
		all = append(all, one)
	}
	return all, skipped, nil
}
