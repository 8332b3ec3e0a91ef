package maillog

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// journalEntry is a line of "journalctl -o json" (systemd.journal-fields(7)), or of docker's json-file log.
type journalEntry struct {
	Realtime   string      `json:"__REALTIME_TIMESTAMP"` // microseconds since 1970
	Host       string      `json:"_HOSTNAME"`
	Identifier string      `json:"SYSLOG_IDENTIFIER"`
	SyslogPID  string      `json:"SYSLOG_PID"`
	PID        string      `json:"_PID"`
	Unit       string      `json:"_SYSTEMD_UNIT"`
	UID        string      `json:"_UID"`
	Message    journalText `json:"MESSAGE"`

	Log  string `json:"log"` // docker
	Time string `json:"time"`
}

// journalText is text, or the numbers of its bytes if it is no UTF-8, or null if it is too long.
type journalText []byte

// UnmarshalJSON implements [json.Unmarshaler].
func (t *journalText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var numbers []uint8Number
		if err := json.Unmarshal(b, &numbers); err != nil {
			return err
		}
		for _, n := range numbers {
			*t = append(*t, byte(n))
		}
		return nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	*t = journalText(s)
	return err
}

// uint8Number is a byte that JSON writes as a number. A []byte would be read as base64.
type uint8Number uint8

func (f *framer) parseJSON(b []byte, r *record) bool {
	f.json = journalEntry{Message: f.json.Message[:0]}
	e := &f.json
	if json.Unmarshal(b, e) != nil {
		return false
	}
	if e.Log != "" && e.Realtime == "" { // docker's; a field LOG in the journal can be of any user
		f.text = append(f.text[:0], strings.TrimRight(e.Log, "\r\n")...)
		if bytes.IndexByte(f.text, '\n') >= 0 || len(f.text) > 0 && f.text[0] == '{' || !f.parseText(f.text, r) {
			return false
		}
		if at, err := time.Parse(time.RFC3339Nano, e.Time); err == nil && r.at == 0 {
			r.at = at.UnixNano()
		}
		f.trimMessage(r, false)
		r.line = f.text
		return true
	}
	if e.Identifier == "" || e.Realtime == "" {
		return e.Realtime != ""
	}
	if !e.isService() {
		return true
	}
	micros, err := strconv.ParseInt(e.Realtime, 10, 64)
	if err != nil || micros <= 0 || micros > 1<<62/1000 {
		return false
	}
	pid := e.SyslogPID
	if pid == "" {
		pid = e.PID
	}
	f.text = append(append(append(append(append(f.text[:0], e.Host...), ' '), e.Identifier...), '['), pid...)
	f.text = append(f.text, ']')
	host := len(e.Host)
	if !setTag(f.text[host+1:], r) {
		if e.isContainer() && f.setInner(e.Message) {
			f.parseInner(r)
			r.line = e.Message
		}
		return true
	}
	r.at, r.host, r.origin = micros*int64(time.Microsecond), f.text[:host], f.text
	r.message = e.Message
	f.stamped = true
	f.trimMessage(r, false)
	f.text = append(append(f.text, ": "...), e.Message...)
	r.line = f.text // as journalctl(1) shows it, without the time
	return true
}

// The users of persons (login.defs(5)).
const (
	minUser = 1000
	maxUser = 60_000
)

// isService reports whether an entry can be of a mail server. Every user can log in any name and with any field, but not
// without a user ID, and not out of the unit of a service.
func (e *journalEntry) isService() bool {
	if uid, err := strconv.ParseUint(e.UID, 10, 32); err == nil && uid >= minUser && uid <= maxUser {
		return false // such as a job of cron.service
	}
	return !strings.HasPrefix(e.Unit, "user@") && !strings.HasPrefix(e.Unit, "session-")
}

// isContainer reports whether an entry is of what a container wrote: docker's log driver for the journal, or podman's.
func (e *journalEntry) isContainer() bool {
	return e.Unit == "docker.service" || strings.HasPrefix(e.Unit, "libpod-")
}
