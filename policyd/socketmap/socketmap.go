// Package socketmap answers the socketmap clients of Postfix, socketmap_table(5), and of Sendmail (sendmail/README,
// SOCKETMAP). A request is a netstring "MAP KEY", a reply a netstring "OK VALUE" or "NOTFOUND ". The maps are
//
//	starttls ADDR                    the EHLO keywords to discard for the client
//	submission ADDR                  the same on a submission service; never starttls
//	srv_features ADDR [NAME]         Sendmail's flags for the client: S hides STARTTLS
//	submission_features ADDR [NAME]  the same on a submission service; never S
//	tls_profile ADDR [NAME]          "legacy" if the client speaks old versions of TLS only
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

// maxValue is how many bytes of a value need no memory of their own.
const maxValue = 320

// Server answers socketmap requests. All connections share one.
type Server struct{ policyd.Backend }

func (s *Server) MaxRequest() int { return len("10000:") + maxData + len(",") }

func (s *Server) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	data, n, err := cutNetstring(in)
	if err != nil || n == 0 {
		return 0, out, err
	}
	var scratch [maxValue]byte
	value := s.appendLookup(ctx, data, scratch[:0])
	if len(value) == 0 {
		return n, append(out, "9:NOTFOUND ,"...), nil
	}
	out = strconv.AppendInt(out, int64(len("OK ")+len(value)), 10)
	out = append(append(out, ":OK "...), value...)
	return n, append(out, ','), nil
}

// appendLookup appends the value for "MAP KEY" to out, and nothing if there is none.
func (s *Server) appendLookup(ctx context.Context, data, out []byte) []byte {
	name, key, _ := bytes.Cut(data, []byte(" "))
	m, ok := parseMap(name)
	if !ok {
		s.Fault(policyd.FaultMap, data)
		return out
	}
	c, host, ok := policyd.ParseClientKey(key)
	if !ok || host != nil && m.answer == keywords {
		s.Fault(policyd.FaultKey, data)
		return out
	}
	if len(host) > 0 {
		c.Name = lists.NormalizeName(string(host))
	}
	c.Service, c.Profile = m.service, m.answer == profile
	d := s.Decider.Decide(ctx, c)
	switch {
	case m.answer == profile && d.Action == lists.Legacy:
		return append(out, "legacy"...)
	case m.answer == features:
		return AppendFeatures(out, m.service, &d)
	case m.answer == keywords && d.HidesAny():
		return s.Values(d).Append(out, m.service, &d)
	}
	return out
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
