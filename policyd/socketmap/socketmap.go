// Package socketmap answers the socketmap clients of Postfix, socketmap_table(5), and of Sendmail (sendmail/README,
// SOCKETMAP). A request is a netstring "MAP KEY", a reply a netstring "OK VALUE" or "NOTFOUND ". The maps are
//
//	starttls ADDR             the EHLO keywords to discard for the client
//	srv_features ADDR [NAME]  Sendmail's flags for the client: S hides STARTTLS
//
// It never replies TEMP, TIMEOUT or PERM: each would make the mail server refuse mail.
package socketmap

import (
	"bytes"
	"context"
	"strconv"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// maxData is the longest request in bytes, as the client of Postfix has it.
const maxData = 10000

// noSTARTTLS is the flag of srv_features that hides STARTTLS.
const noSTARTTLS = "S"

// Server answers socketmap requests. All connections share one.
type Server struct{ policyd.Backend }

func (s *Server) MaxRequest() int { return len("10000:") + maxData + len(",") }

func (s *Server) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	data, n, err := cutNetstring(in)
	if err != nil || n == 0 {
		return 0, out, err
	}
	value := s.lookup(ctx, data)
	if value == "" {
		return n, append(out, "9:NOTFOUND ,"...), nil
	}
	out = strconv.AppendInt(out, int64(len("OK ")+len(value)), 10)
	out = append(append(out, ":OK "...), value...)
	return n, append(out, ','), nil
}

// lookup returns the value for "MAP KEY"; "" for none.
func (s *Server) lookup(ctx context.Context, data []byte) string {
	name, key, _ := bytes.Cut(data, []byte(" "))
	isFlags := string(name) == "srv_features"
	if !isFlags && string(name) != "starttls" {
		s.Fault(policyd.FaultMap, data)
		return ""
	}
	c, host, ok := policyd.ParseClientKey(key)
	if !ok || host != nil && !isFlags {
		s.Fault(policyd.FaultKey, data)
		return ""
	}
	if len(host) > 0 {
		c.Name = lists.NormalizeName(string(host))
	}
	d := s.Decider.Decide(ctx, c)
	switch {
	case d.Action != lists.Suppress:
		return ""
	case isFlags:
		return noSTARTTLS
	}
	return s.Values(d).Suppress
}

// cutNetstring returns the data of the first netstring in in, and the length of the whole; 0 if it is not complete.
func cutNetstring(in []byte) (data []byte, n int, err error) {
	size, digits := 0, 0
	for ; digits < len(in) && in[digits] != ':'; digits++ {
		d := in[digits] - '0'
		if d > 9 || digits > 0 && size == 0 { // a leading zero is not allowed
			return nil, 0, policyd.FrameError(policyd.FaultMalformed)
		}
		if size = size*10 + int(d); size > maxData {
			return nil, 0, policyd.FrameError(policyd.FaultOversize)
		}
	}
	if digits == len(in) {
		return nil, 0, nil
	}
	if digits == 0 {
		return nil, 0, policyd.FrameError(policyd.FaultMalformed)
	}
	n = digits + 1 + size + 1
	if len(in) < n {
		return nil, 0, nil
	}
	if in[n-1] != ',' {
		return nil, 0, policyd.FrameError(policyd.FaultMalformed)
	}
	return in[digits+1 : n-1], n, nil
}
