// Package memcache answers the memcache client of Postfix, memcache_table(5),
// in the text protocol of memcached (its doc/protocol.txt).
//
// Of the protocols for Postfix, this one costs no mail while ehlogate is down, since the client then uses its backup map.
// The keys are
//
//	starttls:ADDR     the EHLO keywords to discard for the client
//	submission:ADDR   the same on a submission service; never starttls
//	helo:NAME         "HELO NAME" if clients that send EHLO NAME are suppressed
//
// Nothing is stored: the client stores the answers of its backup map by "set", which is acknowledged and ignored. Not
// supported: gets, statistics, the binary and the meta protocol.
package memcache

import (
	"bytes"
	"context"
	"strconv"

	"ehlogate/lists"
	"ehlogate/policyd"
)

const (
	maxKey  = 250     // bytes, by the protocol
	maxLine = 4 << 10 // bytes; a get may have several keys
	// maxValue is how many bytes of a value need no memory of their own.
	maxValue = 320
	maxData  = 10 << 10 // bytes of a set; data_size_limit of the client
)

// Server answers memcache requests. All connections share one.
type Server struct{ policyd.Backend }

func (s *Server) MaxRequest() int { return maxLine + maxData + len("\r\n") }

func (s *Server) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	end := bytes.IndexByte(in[:min(len(in), maxLine)], '\n')
	if end < 0 {
		if len(in) >= maxLine {
			return 0, append(out, "CLIENT_ERROR line too long\r\n"...), policyd.FrameError(policyd.FaultOversize)
		}
		return 0, out, nil
	}
	n := end + 1
	line := bytes.TrimSuffix(in[:end], []byte("\r"))
	command, args := cutWord(line)
	switch string(command) {
	case "get":
		key, rest := cutWord(args)
		if len(key) == 0 {
			s.Fault(policyd.FaultCommand, line)
			return n, append(out, "ERROR\r\n"...), nil
		}
		decider := s.Decider
		for ; len(key) > 0; key, rest = cutWord(rest) {
			out = s.appendValue(ctx, decider, key, out)
			decider = s.Further()
		}
		return n, append(out, "END\r\n"...), nil
	case "set", "add", "replace", "append", "prepend", "cas":
		return s.acknowledge(args, in, n, out)
	case "delete":
		return n, append(out, "NOT_FOUND\r\n"...), nil
	case "version":
		return n, append(out, "VERSION ehlogate\r\n"...), nil
	case "quit":
		return n, out, policyd.ErrQuit
	}
	s.Fault(policyd.FaultCommand, line)
	return n, append(out, "ERROR\r\n"...), nil
}

func (s *Server) appendValue(ctx context.Context, decider lists.Decider, key, out []byte) []byte {
	var scratch [maxValue]byte
	value := s.appendLookup(ctx, decider, key, scratch[:0])
	if len(value) == 0 {
		return out
	}
	out = append(append(out, "VALUE "...), key...)
	out = append(out, " 0 "...)
	out = append(strconv.AppendInt(out, int64(len(value)), 10), "\r\n"...)
	return append(append(out, value...), "\r\n"...)
}

// appendLookup appends the value of a key to out, and nothing if there is none.
func (s *Server) appendLookup(ctx context.Context, decider lists.Decider, key, out []byte) []byte {
	name, about, _ := bytes.Cut(key, []byte(":"))
	if service, ok := policyd.ParseMap(name); ok {
		var d lists.Decision
		if c, rest, ok := policyd.ParseClientKey(about); ok && rest == nil && len(key) <= maxKey {
			c.Service = service
			d = decider.Decide(ctx, c)
		} else {
			s.Fault(policyd.FaultKey, key)
		}
		return s.Values(d).Append(out, service, &d)
	}
	switch {
	case string(name) != "helo":
		s.Fault(policyd.FaultMap, key)
	case len(about) == 0 || len(key) > maxKey:
		s.Fault(policyd.FaultKey, key)
	default:
		if d := decider.Decide(ctx, lists.Client{HELO: lists.NormalizeName(string(about))}); d.Action == lists.Suppress {
			out = append(append(out, "HELO "...), about...)
		}
	}
	return out
}

// acknowledge answers a storage command: KEY FLAGS EXPTIME BYTES [noreply]. line is the length of its first line.
func (s *Server) acknowledge(args, in []byte, line int, out []byte) (int, []byte, error) {
	var size []byte
	rest := args
	for range 4 {
		size, rest = cutWord(rest)
	}
	n, err := strconv.ParseUint(string(size), 10, 31)
	switch {
	case err != nil:
		// The data that follows cannot be distinguished from commands.
		return 0, append(out, "ERROR\r\n"...), policyd.FrameError(policyd.FaultMalformed)
	case n > maxData:
		return 0, append(out, "SERVER_ERROR object too large for cache\r\n"...), policyd.FrameError(policyd.FaultOversize)
	}
	total := line + int(n) + len("\r\n")
	if len(in) < total {
		return 0, out, nil
	}
	if string(in[total-2:total]) != "\r\n" {
		return 0, append(out, "CLIENT_ERROR bad data chunk\r\n"...), policyd.FrameError(policyd.FaultMalformed)
	}
	if bytes.Contains(rest, []byte("noreply")) {
		return total, out, nil
	}
	return total, append(out, "STORED\r\n"...), nil
}

// cutWord splits a line after its first word.
func cutWord(line []byte) (first, rest []byte) {
	for len(line) > 0 && line[0] == ' ' {
		line = line[1:]
	}
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}
