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
		end := bytes.IndexByte(line, '=')
		if end < 0 {
			continue
		}
		if attr := r.attribute(line[:end]); attr != nil && *attr == nil {
			*attr = line[end+1:]
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

// attribute returns the attribute of that name; nil if it does not matter here.
func (r *request) attribute(name []byte) *[]byte {
	switch string(name) {
	case "request":
		return &r.request
	case "protocol_state":
		return &r.state
	case "client_address":
		return &r.clientAddr
	case "client_name":
		return &r.name
	case "helo_name":
		return &r.helo
	case "client_port":
		return &r.from
	case "server_port":
		return &r.port
	case "instance":
		return &r.instance
	case "encryption_protocol":
		return &r.encryption
	case "sasl_method":
		return &r.loginMethod
	case "sasl_username":
		return &r.loginName
	}
	return nil
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
