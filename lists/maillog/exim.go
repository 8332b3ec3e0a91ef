package maillog

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"ehlogate/lists"
)

// The beginnings of Exim's lines about clients, in front of the client (spec.txt, chapter "Log files").
var (
	eximTLSError = []byte("TLS error on connection from ")
	eximNoMail   = []byte("no MAIL in SMTP connection from ")
	// eximUnderTLS are of sessions under TLS: of OpenSSL, and of GnuTLS in versions before 4.90.
	eximUnderTLS = [][]byte{
		[]byte("TLS error (SSL_read): on connection from "), []byte("TLS recv error on connection from "),
		[]byte("TLS send error on connection from "),
	}
	eximEnds = [][]byte{
		[]byte("SMTP connection from "), []byte("unexpected disconnection while reading SMTP command from "),
		[]byte("SMTP command timeout on connection from "), []byte("SMTP command timeout on TLS connection from "),
	}
)

// maxEximLine bounds the lines of Exim that are used. It cuts lines at 8,192 bytes, as rsyslogd(8) does, and a client that
// sends as much in front of its address can stand there in the server's place.
const maxEximLine = 8000

// startsExim reports whether b, which has no frame, is a line of Exim.
func startsExim(b []byte) bool {
	for _, begin := range slices.Concat(eximEnds, eximUnderTLS, [][]byte{eximTLSError, eximNoMail, []byte("H=")}) {
		if bytes.HasPrefix(b, begin) {
			return true
		}
	}
	return false
}

// readExim reads a line of Exim's main log. A line has all there is to know about a step of a session. What steps belong
// together is told by the process or the client's port, if log_selector has them.
func (r *Reader) readExim(rec *record) {
	m := rec.message
	if len(m) > maxEximLine {
		r.stats.Unclear++
		return
	}
	if rest, ok := bytes.CutPrefix(m, eximTLSError); ok {
		r.readEximTLSError(rec, rest)
		return
	}
	for _, begin := range eximUnderTLS {
		if rest, ok := bytes.CutPrefix(m, begin); ok {
			r.readEximUnderTLS(rec, rest)
			return
		}
	}
	if rest, ok := bytes.CutPrefix(m, eximNoMail); ok {
		r.readEximNoMail(rec, rest)
		return
	}
	if rest, ok := bytes.CutPrefix(m, []byte("H=")); ok {
		if c, ok := r.findClient(rest); !ok || isAboutEximServer(c.rest) {
			return
		}
		if s := r.beginExim(rec, rest); s != nil {
			s.rejected = s.rejected || bytes.Contains(rest, []byte(" rejected "))
			r.endUnkeyed(s)
		}
		return
	}
	if id, rest, ok := bytes.Cut(m, []byte(" H=")); ok && isEximID(id) {
		r.readEximRejected(rec, rest)
		return
	}
	if id, rest, ok := bytes.Cut(m, []byte(" <= ")); ok && bytes.IndexByte(id, ' ') < 0 {
		if rest, ok := trimSender(rest); ok {
			if rest, ok = bytes.CutPrefix(rest, []byte(" H=")); ok {
				if s := r.beginExim(rec, rest); s != nil {
					s.queued++
					r.endUnkeyed(s)
				}
			}
		}
		return
	}
	for _, begin := range eximEnds {
		if rest, ok := bytes.CutPrefix(m, begin); ok {
			if c, ok := r.findClient(rest); ok {
				if s := r.connections.get(r.eximKey(rec, c)); s != nil {
					s.last, s.seen, s.ended = rec.at, r.now, true
					s.readEximFields(c.rest)
					r.connections.end(s)
				}
			}
			return
		}
	}
}

// isAboutEximServer reports whether what follows an address is about a server that Exim connects to, to verify an address:
// "H=NAME [ADDR]: SMTP error from ..." or "H=NAME [ADDR] Connection timed out". Behind a client are fields and small letters.
func isAboutEximServer(rest []byte) bool {
	for _, begin := range []string{":", " Connection ", " No route to host", " Network is unreachable", " Host is unreachable", " Operation timed out"} {
		if bytes.HasPrefix(rest, []byte(begin)) {
			return true
		}
	}
	return false
}

// readEximRejected reads what follows "ID H=" where a message was rejected: "NAME (HELO) [ADDR] X=... F=<...> rejected after
// DATA: ...". The same with another text behind the address is about a server that a message was sent to.
func (r *Reader) readEximRejected(rec *record, b []byte) {
	c, ok := r.findClient(b)
	if !ok {
		return
	}
	rest := new(session).readEximFields(c.rest)
	for _, chosen := range [][]byte{[]byte(" DN="), []byte(" SNI=")} {
		if value, ok := bytes.CutPrefix(rest, chosen); ok {
			rest, _ = trimSender(value)
		}
	}
	sender, ok := bytes.CutPrefix(rest, []byte(" F="))
	if !ok {
		return
	}
	if sender, ok = trimSender(bytes.TrimPrefix(sender, []byte("<"))); !ok || !bytes.HasPrefix(bytes.TrimPrefix(sender, []byte(" temporarily")), []byte(" rejected ")) {
		return
	}
	if s := r.beginExim(rec, b); s != nil {
		s.rejected = true
		r.endUnkeyed(s)
	}
}

// isEximID reports whether b is a message ID: 1Unmew-0000ea-SE, or longer since 4.97.
func isEximID(b []byte) bool {
	parts := bytes.Split(b, []byte("-"))
	return (len(b) == 16 || len(b) == 23) && len(parts) == 3 && bytes.IndexByte(b, ' ') < 0 && len(parts[0]) == 6
}

// trimSender removes an envelope address, or another value, of which a client chooses every character.
func trimSender(b []byte) ([]byte, bool) {
	if len(b) > 0 && b[0] == '"' {
		for i := 1; i < len(b); i++ {
			if b[i] == '\\' {
				i++
			} else if b[i] == '"' {
				b = b[i+1:]
				break
			}
		}
	}
	end := bytes.IndexByte(b, ' ')
	if end < 0 {
		return nil, false
	}
	return b[end:], true
}

// readEximNoMail reads what follows "no MAIL in SMTP connection from ": "(HELO) [ADDR] D=0s C=EHLO,STARTTLS".
func (r *Reader) readEximNoMail(rec *record, b []byte) {
	c, ok := r.findClient(b)
	if !ok {
		return
	}
	if failed, ok := r.eximFailed.Get(c.addr); ok && c.key(rec) == nil && r.now-failed <= int64(time.Minute) {
		return // the same session
	}
	s := r.beginExim(rec, b)
	if s == nil {
		return
	}
	_, commands, _ := bytes.Cut(c.rest, []byte(" C="))
	commands, _, _ = bytes.Cut(commands, []byte(" "))
	s.ended = true
	if _, after, ok := bytes.Cut(commands, []byte("STARTTLS")); ok {
		s.tried, s.hasCounts = true, true
		s.ehlo = 1 + bytes.Count(after, []byte("EHLO")) + bytes.Count(after, []byte("HELO"))
	}
	r.connections.end(s)
}

// eximClient is the client in a line: "NAME (HELO) [ADDR]:PORT".
type eximClient struct {
	name, helo []byte
	addr       netip.Addr
	peer       []byte // "[ADDR]:PORT", without the port if the log has none
	rest       []byte // what follows
}

// key returns what tells the client's session apart from others, or nil: the process, or the client's port.
func (c *eximClient) key(rec *record) []byte {
	switch {
	case len(rec.pid) > 0:
		return rec.pid
	case c.peer[len(c.peer)-1] != ']':
		return c.peer
	}
	return nil
}

func (r *Reader) eximKey(rec *record, c eximClient) uint64 {
	return r.hash(rec.host, []byte("exim"), c.key(rec))
}

// beginExim opens the session of the client at the start of b. Its key is 0 if nothing tells which lines belong to it.
func (r *Reader) beginExim(rec *record, b []byte) *session {
	c, ok := r.findClient(b)
	if !ok {
		return nil
	}
	var s *session
	if c.key(rec) != nil {
		s = r.begin(r.connections, r.eximKey(rec, c), Exim, rec, c.peer)
	} else {
		s = r.newSession(Exim, rec)
	}
	s.Addr = c.addr
	s.Name = verifiedName(c.name)
	if len(c.helo) > 0 {
		s.setHELO(c.helo)
	}
	s.readEximFields(c.rest)
	return s
}

// endUnkeyed ends a session of which no more will be known.
func (r *Reader) endUnkeyed(s *session) {
	if s.key == 0 {
		r.finish(s)
	}
}

// findClient finds the client in "NAME (HELO) [ADDR]:PORT ...". HELO is what the client claims, and can look like an
// address, and like what stands behind it. An address is the server's if it is the only one in a place where the server
// writes one; a line that has two is not used.
func (r *Reader) findClient(b []byte) (c eximClient, ok bool) {
	for at := 0; ; {
		open := bytes.IndexByte(b[at:], '[')
		if open < 0 {
			break
		}
		open += at
		at = open + 1
		closing := bytes.IndexByte(b[open:], ']')
		if closing < 0 {
			break
		}
		end := open + closing + 1
		if open > 0 && (b[open-1] != ' ') || bytes.HasSuffix(b[:open], []byte(" I=")) {
			continue
		}
		addr, isAddr := lists.ParseAddrBytes(b[open:end])
		if !isAddr {
			continue
		}
		if end+1 < len(b) && b[end] == ':' && b[end+1]-'0' < 10 {
			_, rest := leadingNumber(b[end+1:])
			end = len(b) - len(rest)
		}
		if end < len(b) && b[end] != ' ' && b[end] != ':' {
			continue
		}
		if ok && addr != c.addr {
			r.stats.Unclear++
			return c, false
		}
		if !ok {
			c, ok = eximClient{addr: addr, peer: b[open:end], rest: b[end:]}, true
			c.name, c.helo = splitNames(b[:open])
		}
	}
	if !ok && bytes.IndexByte(b, '[') >= 0 { // else it is a local user, who has no address
		r.stats.Unclear++
	}
	return c, ok
}

// splitNames reads "NAME (HELO) ", of which each may be missing.
func splitNames(b []byte) (name, helo []byte) {
	b = bytes.TrimRight(b, " ")
	name, helo, ok := bytes.Cut(b, []byte("("))
	if ok {
		helo = bytes.TrimSuffix(helo, []byte(")"))
	}
	return bytes.TrimRight(name, " "), helo
}

// readEximFields reads the fields that the server writes behind the client, up to the first that a client chooses, and
// returns the rest.
func (s *session) readEximFields(b []byte) (rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		field, _, _ := bytes.Cut(b[1:], []byte(" "))
		key, value, _ := bytes.Cut(field, []byte("="))
		switch string(key) {
		case "I":
			port := value[bytes.LastIndexByte(value, ':')+1:]
			s.Service = portService(port)
		case "P":
			s.LoggedIn = s.LoggedIn || bytes.HasSuffix(value, []byte("a"))
		case "X":
			version, _, _ := bytes.Cut(value, []byte(":"))
			s.done, s.Version = true, versionOf(version)
		case "CV", "A", "K", "U", "PRX", "D", "Ci", "L", "L-", "L.", "L*", "TFO", "TFO*":
		default:
			return b
		}
		b = b[1+len(field):]
	}
	return b
}

// portService returns the service of a port, or the port.
func portService(port []byte) string {
	n, err := strconv.ParseUint(string(port), 10, 16)
	switch {
	case err != nil:
		return ""
	case n == 25:
		return ServiceSMTP
	case n == 587:
		return ServiceSubmission
	case n == 465:
		return ServiceSubmissions
	}
	return string(port)
}
