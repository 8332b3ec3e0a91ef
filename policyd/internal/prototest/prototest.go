// Package prototest has helpers for the tests of all protocols.
package prototest

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"testing"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// Denied is an address, a host name and a HELO name that Backend suppresses.
var Denied = lists.Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "bad.example", HELO: "ylmf-pc"}

var (
	// Hiding is an address from which Backend hides DSN and CHUNKING, and AUTH on submission.
	Hiding = netip.MustParseAddr("192.0.2.3")
	// Legacy is an address that Backend decides about with lists.Legacy.
	Legacy = netip.MustParseAddr("192.0.2.4")
)

// Backend returns a backend that suppresses Denied, by any part of it, and appends faults to *faults.
func Backend(values *policyd.Values, faults *[]string) policyd.Backend {
	return policyd.Backend{
		Decider: lists.DeciderFunc(func(_ context.Context, c lists.Client) lists.Decision {
			var d lists.Decision
			switch {
			case c.Addr == Hiding && c.Service == lists.Submission:
				d.Hidden = &lists.Hidden{Keywords: lists.MustParseKeyword("auth")}
			case c.Addr == Hiding:
				d.Hidden = &lists.Hidden{Keywords: lists.MustParseKeyword("dsn") | lists.MustParseKeyword("chunking")}
			}
			switch {
			case c.Service == lists.Submission:
				d.Reason = lists.ReasonSubmission
			case c.Addr == Denied.Addr || c.Name == Denied.Name || c.HELO == Denied.HELO:
				d.Action = lists.Suppress
			case c.Addr == Legacy:
				d.Action = lists.Legacy
			}
			return d
		}),
		Values: func(lists.Decision) *policyd.Values { return values },
		Fault:  func(reason string, _ []byte) { *faults = append(*faults, reason) },
	}
}

// Answer returns the replies that Serve would send to in, received in pieces of size bytes, and the error at the end.
func Answer(p policyd.Protocol, in []byte, size int) (out []byte, err error) {
	var have []byte
	for chunk := range slices.Chunk(bytes.Clone(in), size) {
		have = append(have, chunk...)
		for len(have) > 0 {
			n, reply, err := p.Answer(context.Background(), have, out)
			out = reply
			if err != nil {
				return out, err
			}
			if n == 0 {
				break
			}
			have = have[n:]
		}
		if len(have) >= p.MaxRequest() {
			return out, policyd.FrameError(policyd.FaultOversize)
		}
	}
	return out, nil
}

// Check fails the test if the replies to in depend on the pieces in which it is received. It returns the replies.
func Check(t *testing.T, p policyd.Protocol, in []byte) []byte {
	t.Helper()
	whole, wholeErr := Answer(p, in, max(len(in), 1))
	for _, size := range []int{1, 7} {
		out, err := Answer(p, in, size)
		if !bytes.Equal(out, whole) && !(wholeErr != nil || err != nil) {
			t.Fatalf("%q in pieces of %d: %q, in one: %q", in, size, out, whole)
		}
		if (err == nil) != (wholeErr == nil) && len(in) < p.MaxRequest() {
			t.Fatalf("%q in pieces of %d: %v, in one: %v", in, size, err, wholeErr)
		}
	}
	return whole
}
