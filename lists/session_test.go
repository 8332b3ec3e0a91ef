package lists

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// alternating matches every other session.
type alternating struct{ sessions int }

func (a *alternating) Lookup(Client) Match {
	if a.sessions%2 == 0 {
		return Match{Status: NoMatch}
	}
	return Match{Status: Matched}
}

func (a *alternating) LookupSession(c Client) Match {
	a.sessions++
	return a.Lookup(c)
}

// waiting is pending until its caller waits no longer.
type waiting struct{}

func (waiting) Lookup(c Client) Match {
	return Match{Status: Pending, Ready: []<-chan struct{}{make(chan struct{})}}
}

func (waiting) LookupTurn(_ Client, turn Turn) Match {
	if turn == Last {
		return Match{Status: NoMatch}
	}
	return waiting{}.Lookup(Client{})
}

// A session counts once, whatever the walk waits for and how often the session is reviewed.
func TestSessionSource(t *testing.T) {
	source := &alternating{}
	c := Client{Addr: netip.MustParseAddr("192.0.2.1")}
	for _, p := range []*Policy{
		{Lists: []*List{{Action: Suppress, Source: source, Sessions: source}}},
		{Lists: []*List{{Action: Suppress, Source: waiting{}}, {Action: Suppress, Source: source, Sessions: source}}, Wait: time.Millisecond},
	} {
		source.sessions = 0
		for i := range 4 {
			want := Action(Suppress)
			if i%2 != 0 {
				want = Offer
			}
			for _, got := range []Decision{p.Decide(context.Background(), c), p.Review(context.Background(), c), p.ReviewCached(c)} {
				if got.Action != want {
					t.Errorf("%d lists, session %d: %v; want %v", len(p.Lists), i, got.Action, want)
				}
			}
		}
		if source.sessions != 4 {
			t.Errorf("%d lists: %d sessions counted; want 4", len(p.Lists), source.sessions)
		}
	}
}
