package breaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"ehlogate/lists/dnsclient"
)

type bogus string

func (b bogus) Error() string { return string(b) }
func (bogus) BogusAnswer()    {}

func TestFailure(t *testing.T) {
	for _, tc := range []struct {
		err        error
		word, text string
	}{
		{&dnsclient.Error{Kind: dnsclient.ServFail, Name: "1.1.1.11.list.example"}, "servfail", "servfail"},
		{&dnsclient.Error{Kind: dnsclient.Malformed, Server: netip.MustParseAddrPort("127.0.0.1:53"), Err: errors.New("a reason")}, "malformed", "malformed from 127.0.0.1:53: a reason"},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), "timeout", "timeout"},
		{errors.New("another"), "unreachable", "unreachable"},
		{bogus("a lie"), "bogus", "a lie"},
	} {
		if f := dnsclient.KindOf(tc.err); f.String() != tc.word || describe(tc.err) != tc.text {
			t.Errorf("%v: got %s, %s; want %s, %s", tc.err, f, describe(tc.err), tc.word, tc.text)
		}
	}
}
