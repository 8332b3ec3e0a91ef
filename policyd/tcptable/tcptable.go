// Package tcptable answers the line protocol of tcp_table(5) in Postfix, which is easy to use from other programs too, such
// as Exim. A request is "get KEY" and a newline, a reply "200 VALUE" or "500 TEXT" and a newline, with %XX for bytes that
// are not printable. The request is
//
//	get ADDR[%20HELO]   the EHLO keywords to discard for the client
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
	c, helo, ok := policyd.ParseClientKey(key)
	if err != nil || !ok {
		s.Fault(policyd.FaultKey, quoted)
		return n, append(out, "500 not an address\n"...), nil
	}
	if len(helo) > 0 {
		c.HELO = lists.NormalizeName(string(helo))
	}
	if d := s.Decider.Decide(ctx, c); d.Action == lists.Suppress {
		out = appendQuoted(append(out, "200 "...), s.Values(d).Suppress)
		return n, append(out, '\n'), nil
	}
	return n, append(out, "500 offer\n"...), nil
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
func appendQuoted(out []byte, s string) []byte {
	for i := range len(s) {
		if b := s[i]; b >= ' ' && b <= '~' && b != '%' {
			out = append(out, b)
		} else {
			out = fmt.Appendf(out, "%%%02X", b)
		}
	}
	return out
}
