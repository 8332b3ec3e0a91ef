package delegation

import (
	"bytes"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// maxRequest is the longest request in bytes. Postfix sends some forty
// attributes, of which a few may be as long as its line_length_limit of 2048.
const maxRequest = 64 << 10

// request is what of a request concerns us.
type request struct {
	client    lists.Client
	hasAddr   bool   // an address was sent, even if it is none
	instance  string // of the message, or of what comes before the first
	from      string // the client's port
	port      string // the server's
	state     string
	encrypted bool
	login     bool
}

// split gives the length of the first request in in, with the empty line that
// ends it; 0 if it is not all there.
func split(in []byte) int {
	for start := 0; ; {
		i := bytes.IndexByte(in[start:], '\n')
		switch {
		case i < 0:
			return 0
		case len(bytes.TrimSuffix(in[start:start+i], []byte("\r"))) == 0:
			return start + i + 1
		}
		start += i + 1
	}
}

// parse reads a request. Attributes may come in any order, and ones that are
// not known are allowed (SMTPD_POLICY_README); of one that is sent twice, which
// does not happen, the first counts, so that nothing appended can change it.
func parse(in []byte) (r request, err error) {
	seen := make(map[string]bool, 8)
	isPolicy := false
	for line := range bytes.Lines(in) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		if !ok {
			return r, policyd.FrameError(policyd.FaultMalformed)
		}
		if !wanted(string(name)) || seen[string(name)] {
			continue
		}
		seen[string(name)] = true
		if r.set(string(name), string(value)) {
			isPolicy = true
		}
	}
	if !isPolicy {
		return r, policyd.FrameError(policyd.FaultMalformed)
	}
	return r, nil
}

// session names the SMTP session, "" if there is no telling. The instance
// attribute does not: Postfix leaves it empty until MAIL, and makes one for each
// message. The client's port does, unless a proxy did not pass it on.
func (r *request) session() string {
	if r.from == "" || r.from == "0" || r.from == "unknown" {
		return r.instance
	}
	return r.client.Addr.String() + " " + r.from
}

func wanted(name string) bool {
	switch name {
	case "request", "protocol_state", "client_address", "client_name", "helo_name", "client_port", "instance", "server_port",
		"encryption_protocol", "sasl_method", "sasl_username":
		return true
	}
	return false
}

// set takes one attribute; it is true for the one that says that this is a
// policy request at all.
func (r *request) set(name, value string) bool {
	switch name {
	case "request":
		return value == "smtpd_access_policy"
	case "protocol_state":
		r.state = value
	case "client_address":
		r.hasAddr = true
		if a, err := lists.ParseAddr(value); err == nil {
			r.client.Addr = a
		}
	case "client_name": // verified by Postfix, or "unknown"
		if value != "unknown" {
			r.client.Name = lists.NormalName(value)
		}
	case "helo_name":
		r.client.HELO = lists.NormalName(value)
	case "client_port":
		r.from = value
	case "instance":
		r.instance = value
	case "server_port":
		r.port = value
	case "encryption_protocol":
		r.encrypted = value != ""
	case "sasl_method", "sasl_username":
		r.login = r.login || value != ""
	}
	return false
}
