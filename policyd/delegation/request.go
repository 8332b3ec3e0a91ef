package delegation

import (
	"bytes"
	"net/netip"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// maxRequest is the longest request in bytes. Postfix sends about 40 attributes. Five of them can have up to
// line_length_limit (2048) bytes each, and the login name what remains of 12288 bytes after decoding.
const maxRequest = 32 << 10

// request has the attributes of a request that matter here. Its byte slices point into the request, and are valid until it
// is answered.
type request struct {
	addr       netip.Addr
	name, helo []byte // of the client; name is nil if not verified
	instance   []byte // of the message; empty until MAIL was accepted
	from       []byte // the client's port
	port       []byte // the server's
	state      []byte

	isPolicy  bool // it has request=smtpd_access_policy
	hasAddr   bool // it has client_address, even if invalid
	encrypted bool
	login     bool
}

// parseRequest parses the first request in in. It returns the length of the request including the empty line that ends it;
// 0 if it is not complete. Attributes may come in any order, and unknown ones are ignored (SMTPD_POLICY_README). If an
// attribute occurs twice, which Postfix never sends, the first counts, so that appended data cannot change it.
func parseRequest(in []byte) (r request, n int, err error) {
	var seen [attributes]bool
	for {
		i := bytes.IndexByte(in[n:], '\n')
		if i < 0 {
			return r, 0, nil
		}
		line := in[n : n+i]
		n += i + 1
		if i > 0 && line[i-1] == '\r' {
			line = line[:i-1]
		}
		if len(line) == 0 {
			break
		}
		for _, a := range byLetter[line[0]] {
			if name := names[a]; bytes.HasPrefix(line, name) && !seen[a] {
				seen[a] = true
				r.setAttribute(a, line[len(name):])
				break
			}
		}
	}
	if !r.isPolicy {
		err = policyd.FrameError(policyd.FaultMalformed)
	}
	return r, n, err
}

// attribute is one of the attributes that matter here, a third of those that Postfix sends.
type attribute int

const (
	attrRequest attribute = iota
	attrState
	attrAddress
	attrName
	attrHELO
	attrFrom
	attrInstance
	attrPort
	attrEncryption
	attrLoginMethod
	attrLoginName
	attributes
)

var names = [attributes][]byte{
	attrRequest: []byte("request="), attrState: []byte("protocol_state="), attrAddress: []byte("client_address="),
	attrName: []byte("client_name="), // verified by Postfix, or "unknown"
	attrHELO: []byte("helo_name="), attrFrom: []byte("client_port="), attrInstance: []byte("instance="), attrPort: []byte("server_port="),
	attrEncryption: []byte("encryption_protocol="), attrLoginMethod: []byte("sasl_method="), attrLoginName: []byte("sasl_username="),
}

// byLetter has the attributes by the first letter of their names.
var byLetter = func() (by [256][]attribute) {
	for a, name := range names {
		by[name[0]] = append(by[name[0]], attribute(a))
	}
	return by
}()

func (r *request) setAttribute(a attribute, value []byte) {
	switch a {
	case attrRequest:
		r.isPolicy = string(value) == "smtpd_access_policy"
	case attrState:
		r.state = value
	case attrAddress:
		r.hasAddr = true
		r.addr, _ = lists.ParseAddrBytes(value)
	case attrName:
		if string(value) != "unknown" {
			r.name = value
		}
	case attrHELO:
		r.helo = value
	case attrFrom:
		r.from = value
	case attrInstance:
		r.instance = value
	case attrPort:
		r.port = value
	case attrEncryption:
		r.encrypted = len(value) > 0
	case attrLoginMethod, attrLoginName:
		r.login = r.login || len(value) > 0
	}
}

// client returns everything that is known about the client.
func (r *request) client() lists.Client {
	return lists.Client{Addr: r.addr, Name: lists.NormalizeName(string(r.name)), HELO: lists.NormalizeName(string(r.helo))}
}

// isMail reports whether the request is about mail. VRFY and ETRN are not, and of an unknown state it is not known.
func (r *request) isMail() bool {
	switch string(r.state) {
	case "MAIL", "RCPT", "DATA", "BDAT", "END-OF-MESSAGE":
		return true
	}
	return false
}

// isSubmission reports whether the client submits mail: it logged in, or uses a submission port.
func (r *request) isSubmission() bool {
	return r.login || string(r.port) == "587" || string(r.port) == "465"
}
