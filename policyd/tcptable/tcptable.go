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

	"ehlogate/lists"
	"ehlogate/policyd"
)

// maxLine is the longest request in bytes, by tcp_table(5).
const maxLine = 4096

// Server answers tcp_table requests. All connections share one.
type Server struct{ policyd.Backend }

var _ policyd.Protocol = (*Server)(nil)

// MaxRequest implements policyd.Protocol.
func (s *Server) MaxRequest() int { return maxLine }

// Answer implements policyd.Protocol.
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
	key, ok := unquote(quoted)
	c, helo, isAddr := policyd.ParseClientKey(key)
	if !ok || !isAddr {
		if !ok {
			key = quoted // partly decoded
		}
		s.Fault(policyd.FaultKey, key)
		return n, append(out, "500 not an address\n"...), nil
	}
	if len(helo) > 0 {
		c.HELO = lists.NormalizeName(string(helo))
	}
	if d := s.Decider.Decide(ctx, c); d.Action == lists.Suppress {
		out = appendQuoted(append(out, "200 "...), s.Keywords(d).Suppress)
		return n, append(out, '\n'), nil
	}
	return n, append(out, "500 offer\n"...), nil
}

// unquote decodes %XX in place. ok is false if a % is not followed by two hexadecimal digits.
func unquote(in []byte) (out []byte, ok bool) {
	out = in[:0]
	for i := 0; i < len(in); i++ {
		b := in[i]
		if b == '%' {
			if i+2 >= len(in) {
				return nil, false
			}
			hi, lo := hexDigit(in[i+1]), hexDigit(in[i+2])
			if hi > 15 || lo > 15 {
				return nil, false
			}
			b, i = hi<<4|lo, i+2
		}
		out = append(out, b)
	}
	return out, true
}

func hexDigit(b byte) byte {
	switch {
	case b-'0' < 10:
		return b - '0'
	case b|0x20-'a' < 6:
		return b | 0x20 - 'a' + 10
	}
	return 255
}

// appendQuoted appends s with %XX for % and for bytes other than printable ASCII. Spaces in a value need no quoting.
func appendQuoted(out []byte, s string) []byte {
	for i := range len(s) {
		if b := s[i]; b >= ' ' && b <= '~' && b != '%' {
			out = append(out, b)
		} else {
			const hex = "0123456789ABCDEF"
			out = append(out, '%', hex[b>>4], hex[b&15])
		}
	}
	return out
}
