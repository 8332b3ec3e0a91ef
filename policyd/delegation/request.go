package delegation

import (
	"bytes"
	"net/netip"
	"unsafe"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// maxRequest is the longest request in bytes. Postfix sends about 40 attributes. Five of them can have up to
// line_length_limit (2048) bytes each, and the login name what remains of 12288 bytes after decoding.
const maxRequest = 32 << 10

// request has the attributes of a request that matter here, a third of those that Postfix sends. Those that are missing
// are nil. They point into the request, and are valid until it is answered.
type request struct {
	request     []byte
	state       []byte
	clientAddr  []byte
	name, helo  []byte // of the client; name is verified by Postfix, or "unknown"
	from        []byte // the client's port
	port        []byte // the server's
	instance    []byte // of the message; empty until MAIL was accepted
	encryption  []byte
	loginMethod []byte
	loginName   []byte

	addr netip.Addr // clientAddr; invalid if it is
}

// parseRequest parses the first request in in. It returns the length of the request including the empty line that ends it;
// 0 if it is not complete. Attributes may come in any order, and unknown ones are ignored (SMTPD_POLICY_README). If an
// attribute occurs twice, which Postfix never sends, the first counts, so that appended data cannot change it.
func parseRequest(in []byte) (r request, n int, err error) {
	for {
		i := bytes.IndexByte(in[n:], '\n')
		if i < 0 {
			return r, 0, nil
		}
		line := in[n : n+i]
		if n += i + 1; i > 0 && line[i-1] == '\r' {
			line = line[:i-1]
		}
		if len(line) == 0 {
			break
		}
		if begin, attr := r.attribute(line); attr != nil && *attr == nil && len(line) >= len(begin) && string(line[:len(begin)]) == begin {
			*attr = line[len(begin):]
		}
	}
	if string(r.request) != "smtpd_access_policy" {
		return r, n, policyd.FrameError(policyd.FaultMalformed)
	}
	r.addr, _ = lists.ParseAddrBytes(r.clientAddr)
	if string(r.name) == "unknown" {
		r.name = nil
	}
	return r, n, nil
}

// attribute returns the attribute that a line may have, and how the line begins then; nil if it has none that matters here. A
// request has about thirty lines, and a search for the = in each takes longer.
func (r *request) attribute(line []byte) (begin string, attr *[]byte) {
	if len(line) < 8 {
		return "", nil
	}
	switch string(line[:8]) { // enough to tell them apart
	case "request=":
		return "request=", &r.request
	case "protocol":
		return "protocol_state=", &r.state
	case "client_a":
		return "client_address=", &r.clientAddr
	case "client_n":
		return "client_name=", &r.name
	case "helo_nam":
		return "helo_name=", &r.helo
	case "client_p":
		return "client_port=", &r.from
	case "server_p":
		return "server_port=", &r.port
	case "instance":
		return "instance=", &r.instance
	case "encrypti":
		return "encryption_protocol=", &r.encryption
	case "sasl_met":
		return "sasl_method=", &r.loginMethod
	case "sasl_use":
		return "sasl_username=", &r.loginName
	}
	return "", nil
}

// client returns everything that is known about the client.
func (r *request) client() lists.Client {
	return r.newClient(func(b []byte) string { return string(b) })
}

// viewClient is client without an allocation. Its names share the memory of the request.
func (r *request) viewClient() lists.Client {
	return r.newClient(func(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) })
}

func (r *request) newClient(name func([]byte) string) lists.Client {
	return lists.Client{Addr: r.addr, Name: lists.NormalizeName(name(r.name)), HELO: lists.NormalizeName(name(r.helo))}
}

// isMail reports whether the request is about mail. VRFY and ETRN are not, and of an unknown state it is not known.
func (r *request) isMail() bool {
	switch string(r.state) {
	case "MAIL", "RCPT", "DATA", "BDAT", "END-OF-MESSAGE":
		return true
	}
	return false
}

func (r *request) isEncrypted() bool { return len(r.encryption) > 0 }

func (r *request) isLogin() bool { return len(r.loginMethod)+len(r.loginName) > 0 }

// isSubmission reports whether the client submits mail: it logged in, or uses a submission port.
func (r *request) isSubmission() bool {
	return r.isLogin() || string(r.port) == "587" || string(r.port) == "465"
}
