package delegation

import (
	"bytes"
	"net/netip"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// maxRequest is the longest request in bytes. Postfix sends some forty
// attributes; five may be as long as its line_length_limit of 2048, and the
// login name as what is left of 12288 when it is decoded.
const maxRequest = 32 << 10

// request is what of a request concerns us. The texts are those of the request
// itself, good until it is answered.
type request struct {
	addr       netip.Addr
	name, helo []byte // of the client; name is empty if not verified
	instance   []byte // of the message; empty as far as MAIL
	from       []byte // the client's port
	port       []byte // the server's
	state      []byte

	isPolicy  bool // what makes it a policy request at all
	hasAddr   bool // an address was sent, even if it is none
	encrypted bool
	login     bool
}

// parse reads the first request in in and gives its length with the empty line
// that ends it; 0 if it is not all there. Attributes may come in any order, and
// ones that are not known are allowed (SMTPD_POLICY_README); of one that is
// sent twice, which does not happen, the first counts, so that nothing appended
// can change it.
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

// attribute is one of those that concern us, a third of those that are sent.
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

// byLetter has the attributes by the first letters of their names.
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

// client is all that is known of the client.
func (r *request) client() lists.Client {
	return lists.Client{Addr: r.addr, Name: lists.NormalizeName(string(r.name)), HELO: lists.NormalizeName(string(r.helo))}
}

// inMail reports whether the request is about mail. VRFY and ETRN carry none,
// and what an unknown state is about cannot be known.
func (r *request) isMail() bool {
	switch string(r.state) {
	case "MAIL", "RCPT", "DATA", "BDAT", "END-OF-MESSAGE":
		return true
	}
	return false
}

func (r *request) isSubmission() bool {
	return r.login || string(r.port) == "587" || string(r.port) == "465"
}
