// Package tcptable answers the line protocol of tcp_table(5) in Postfix, which is easy to use from other programs too, such
// as Exim. A request is "get KEY" and a newline, a reply "200 VALUE" or "500 TEXT" and a newline, with %XX for bytes that
// are not printable. The request is
//
//	get ADDR[%20HELO]               the EHLO keywords to discard for the client
//	get submission:ADDR[%20HELO]    the same on a submission service; never starttls
//	get tls_profile:ADDR[%20HELO]   "legacy" if the client speaks old versions of TLS only
//
// It never replies 400, which would make the mail server refuse mail.
package tcptable

import (
	"bytes"
	"context"
	"fmt"
	"net/url"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// maxLine is the longest request in bytes, by tcp_table(5).
const maxLine = 4096

// maxValue is how many bytes of a value need no memory of their own.
const maxValue = 320

// Server answers tcp_table requests. All connections share one.
type Server struct{ policyd.Backend }

func (s *Server) MaxRequest() int { return maxLine }

func (s *Server) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	end := bytes.IndexByte(in, '\n')
	if end < 0 {
		return 0, out, nil
	}
	n, line := end+1, bytes.TrimSuffix(in[:end], []byte("\r"))
	quoted, ok := bytes.CutPrefix(line, []byte("get "))
	if !ok {
		s.Fault(policyd.FaultCommand, line)
		return n, append(out, "500 only get ADDR is served\n"...), nil
	}
	key, err := unquote(quoted)
	service, isProfile, key := cutMap(key)
	c, helo, ok := policyd.ParseClientKey(key)
	if err != nil || !ok {
		s.Fault(policyd.FaultKey, quoted)
		return n, append(out, "500 not an address\n"...), nil
	}
	if len(helo) > 0 {
		c.HELO = lists.NormalizeName(string(helo))
	}
	c.Service, c.Profile = service, isProfile
	d := s.Decider.Decide(ctx, c)
	var scratch [maxValue]byte
	value := scratch[:0]
	switch {
	case isProfile && d.Action == lists.Legacy:
		value = append(value, "legacy"...)
	case !isProfile && d.HidesAny():
		value = s.Values(d).Append(value, service, &d)
	}
	if len(value) == 0 {
		return n, append(out, "500 offer\n"...), nil
	}
	return n, append(appendQuoted(append(out, "200 "...), value), '\n'), nil
}

// cutMap returns what a key is about, and the key without the name of the map. Without a name it is about EHLO keywords.
func cutMap(key []byte) (service lists.Service, isProfile bool, rest []byte) {
	name, rest, _ := bytes.Cut(key, []byte(":"))
	if string(name) == "tls_profile" {
		return lists.SMTP, true, rest
	}
	if service, ok := policyd.ParseMap(name); ok {
		return service, false, rest
	}
	return lists.SMTP, false, key
}

// unquote decodes %XX. It returns an error if a % is not followed by two hexadecimal digits. Ordinary requests have no %,
// and cost no memory.
func unquote(in []byte) ([]byte, error) {
	if bytes.IndexByte(in, '%') < 0 {
		return in, nil
	}
	out, err := url.PathUnescape(string(in))
	return []byte(out), err
}

// appendQuoted appends s with %XX for % and for bytes other than printable ASCII. Spaces in a value need no quoting.
func appendQuoted(out, s []byte) []byte {
	for _, b := range s {
		if b >= ' ' && b <= '~' && b != '%' {
			out = append(out, b)
		} else {
			out = fmt.Appendf(out, "%%%02X", b)
		}
	}
	return out
}
