package maillog

import (
	"bytes"
)

// program is a program of a mail server that has to do with clients.
type program uint8

const (
	programNone program = iota
	programSMTPD
	programPostscreen
	programTLSProxy
	programSendmail
	programExim
)

// programOf returns the program of a syslog tag such as postfix/submission/smtpd. Postfix always has syslog_name in front.
func programOf(tag []byte) program {
	if slash := bytes.LastIndexByte(tag, '/'); slash > 0 {
		switch string(tag[slash+1:]) {
		case "smtpd":
			return programSMTPD
		case "postscreen":
			return programPostscreen
		case "tlsproxy":
			return programTLSProxy
		}
		return programNone
	}
	switch {
	case string(tag) == "sendmail", bytes.HasPrefix(tag, []byte("sm-")): // sm-mta, sm-acceptingconnections
		return programSendmail
	case string(tag) == "exim", string(tag) == "exim4":
		return programExim
	}
	return programNone
}

// record is a line without its frame. Its slices share the memory of the line.
type record struct {
	at      stamp
	program program
	host    []byte
	tag     []byte
	pid     []byte
	origin  []byte // of "host tag[pid]", in the spelling of the frame: it tells processes apart
	message []byte
	line    []byte // as a reader of the log sees it, without the JSON around it
}

// instance returns what tells several Postfix of one host apart: postfix/smtpd, postfix-in/smtpd.
func (r *record) instance() []byte {
	name, _, _ := bytes.Cut(r.tag, []byte("/"))
	return name
}

// parse splits a line into frame and message. It reports whether the line has a known frame; r.program is programNone if
// the line is of a program that is of no interest, and then no other field is set.
func (f *framer) parse(b []byte, r *record) bool {
	*r = record{}
	if len(b) > 0 && b[0] == '{' {
		return f.parseJSON(b, r)
	}
	ok := f.parseText(b, r)
	if ok {
		f.trimMessage(r, false)
	} else if text, inContainer := trimContainer(b); inContainer {
		if ok = f.parseText(text, r); ok {
			f.trimMessage(r, true)
		}
	}
	r.line = b
	return ok
}

// framer takes lines out of their frames.
type framer struct {
	stamps
	// stamped reports that a line had a time. Then a line without one is a piece of another.
	stamped bool
	json    journalEntry
	text    []byte // the line that an entry of JSON makes
	padded  []byte // a line whose day has one digit
	inner   []byte // what a container wrote, as the log of its host has it; nil for others
	isInner bool   // that is being read
}

func (f *framer) parseText(b []byte, r *record) bool {
	if len(b) > 3 && b[0] == '<' { // PRI, RFC 5424 section 6.2.1
		end := bytes.IndexByte(b[:min(len(b), 5)], '>')
		if end < 2 {
			return false
		}
		if b = b[end+1:]; len(b) > 2 && b[0] == '1' && b[1] == ' ' {
			return f.parse5424(b[2:], r)
		}
	}
	if len(b) > 15 && b[3] == ' ' && b[4]-'0' < 10 && b[5] == ' ' && b[8] == ':' && b[11] == ':' && b[14] == ' ' {
		f.padded = append(append(append(f.padded[:0], b[:4]...), ' '), b[4:]...)
		b = f.padded
	}
	if is3164(b) {
		if !f.parseSyslog(b[16:], r) {
			return false
		}
		if f.stamped = true; f.inner != nil && f.parseInner(r) {
			return true
		}
		if r.program != programNone {
			var ok bool
			r.at, ok = f.parse3164(b)
			return ok
		}
		return monthOf(b) != 0
	}
	if at, n, ok := f.parseISO(b); ok {
		rest := b[n:]
		if len(rest) == 0 || rest[0] != ' ' {
			return false
		}
		f.stamped, r.at = true, at
		if b[10] == 'T' && f.setInner(rest[1:]) && f.parseInner(r) {
			return true
		}
		isSyslog := f.parseSyslog(rest[1:], r)
		if isSyslog && f.inner != nil && f.parseInner(r) {
			return true
		}
		if r.program == programNone && b[10] == ' ' { // Exim's own log
			*r = record{at: at, program: programExim, message: rest[1:]}
			return true
		}
		return isSyslog
	}
	if f.stamped {
		return false
	}
	if tag, rest, ok := bytes.Cut(b, []byte(": ")); ok && setTag(tag, r) {
		r.origin, r.message = tag, rest
		return true
	}
	if startsExim(b) {
		*r = record{program: programExim, message: b}
		return true
	}
	return false
}

// parseSyslog reads "HOST TAG[PID]: MESSAGE". FreeBSD can write "<mail.info> " in front of that, containers the severity for
// the host, and some systems no host.
func (f *framer) parseSyslog(b []byte, r *record) bool {
	f.inner = nil
	if len(b) > 0 && b[0] == '<' {
		_, b, _ = bytes.Cut(b, []byte("> "))
	}
	space := bytes.IndexByte(b, ' ')
	if space <= 0 || bytes.IndexByte(b[:space], '=') >= 0 { // Exim's own log has H=(HELO) there
		return false
	}
	rest := b[space+1:]
	if b[space-1] == ':' && setTag(b[:space-1], r) {
		r.origin, r.message = b[:space-1], rest
		return true
	}
	isSeverity := isSeverity(b[:space])
	if isSeverity {
		rest = bytes.TrimLeft(rest, " ")
	}
	colon := bytes.IndexByte(rest, ':')
	if colon <= 0 {
		return bytes.HasPrefix(rest, []byte("last message repeated "))
	}
	message := bytes.TrimPrefix(rest[colon+1:], []byte(" "))
	if !setTag(rest[:colon], r) {
		if isContainer(rest[:colon]) {
			f.setInner(message)
		}
		return true
	}
	r.host, r.origin, r.message = b[:space], b[:space+1+colon], message
	if isSeverity {
		r.host, r.origin = nil, rest[:colon]
	}
	return true
}

// isSeverity reports whether b is a severity as rsyslogd(8) writes it in the containers of some images.
func isSeverity(b []byte) bool {
	switch string(b) {
	case "EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG":
		return true
	}
	return false
}

// setTag reads TAG or TAG[PID], and reports whether the program is of interest.
func setTag(b []byte, r *record) bool {
	tag := b
	if bracket := bytes.IndexByte(b, '['); bracket > 0 && b[len(b)-1] == ']' {
		tag, r.pid = b[:bracket], b[bracket+1:len(b)-1]
	}
	if bytes.IndexByte(tag, ' ') >= 0 {
		return false
	}
	r.tag, r.program = tag, programOf(tag)
	return r.program != programNone
}

// parse5424 reads what stands behind "<22>1 ": TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG.
func (f *framer) parse5424(b []byte, r *record) bool {
	var fields [5][]byte
	begin := 0 // of "HOSTNAME APP-NAME PROCID"
	rest := b
	for i := range fields {
		field, after, ok := bytes.Cut(rest, []byte(" "))
		if !ok {
			return false
		}
		if fields[i], rest = field, after; i == 0 {
			begin = len(b) - len(rest)
		}
		if i == 3 {
			r.origin = b[begin : len(b)-len(rest)-1]
		}
	}
	at, n, ok := f.parseISO(fields[0])
	if !ok && string(fields[0]) != "-" || n != len(fields[0]) && ok {
		return false
	}
	f.stamped, r.at = true, at
	r.host, r.tag, r.pid = fields[1], fields[2], fields[3]
	r.program = programOf(r.tag)
	rest, ok = trimStructuredData(rest)
	r.message = bytes.TrimPrefix(rest, []byte("\xef\xbb\xbf"))
	return ok
}

// trimStructuredData removes STRUCTURED-DATA (RFC 5424 section 6.3) and the space behind it.
func trimStructuredData(b []byte) ([]byte, bool) {
	if bytes.HasPrefix(b, []byte("- ")) {
		return b[2:], true
	}
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\\' && quoted:
			i++
		case b[i] == '"':
			quoted = !quoted
		case b[i] == ']' && !quoted && i+1 < len(b) && b[i+1] == ' ':
			return b[i+2:], b[0] == '['
		}
	}
	return nil, false
}

// trimMessage removes what some programs write in front of a message: Solaris an identifier, docker compose the frame once
// more, Exim its own time and process.
func (f *framer) trimMessage(r *record, inContainer bool) {
	if r.program == programNone {
		return
	}
	if bytes.HasPrefix(r.message, []byte("[ID ")) {
		if _, rest, ok := bytes.Cut(r.message, []byte("] ")); ok {
			r.message = rest
		}
	}
	if r.program != programExim {
		if !inContainer {
			return
		}
		var again record
		if rest, ok := trimContainer(r.message); ok && f.parseText(rest, &again) && bytes.Equal(again.tag, r.tag) {
			*r = again
		}
		return
	}
	if _, n, ok := f.parseISO(r.message); ok && len(r.message) > n && r.message[n] == ' ' {
		r.message = r.message[n+1:]
	}
	if len(r.message) > 0 && r.message[0] == '[' {
		if pid, rest, ok := bytes.Cut(r.message[1:], []byte("] ")); ok && isNumber(pid) {
			r.pid, r.message = pid, rest
		}
	}
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}
