package replay

import (
	"net/netip"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
)

// Each client that was learned counts once, whatever becomes of it, and as ended if it is so at the end.
func TestLearnedTally(t *testing.T) {
	tally := newLearnedTally()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, e := range []fallback.Event{
		{Kind: fallback.EventBreakerOpen}, {Kind: fallback.EventBreakerClose}, {Kind: fallback.EventBreakerOpen},
		{Kind: fallback.EventCap, Client: b}, {Kind: fallback.EventEnded, Client: b},
		{Kind: fallback.EventLearned, Client: a, Action: lists.Legacy, Name: "a.example"}, {Kind: fallback.EventRepaired, Client: a},
		{Kind: fallback.EventLearned, Client: a, Action: lists.Suppress}, {Kind: fallback.EventDormant, Client: a, Action: lists.Suppress},
		{Kind: fallback.EventLearned, Client: b, Action: lists.Suppress}, {Kind: fallback.EventConfirmed, Client: b},
		{Kind: fallback.EventLeftAlone, Client: b}, {Kind: fallback.EventEnded, Client: b},
	} {
		tally.noteFallback(e)
	}
	if got, want := tally.fallback, (learnedCount{clients: 2, ended: 1, breaker: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if top := tally.topEntries(1); len(top) != 1 || top[0].Addr != "192.0.2.1" || top[0].Action != "suppress" || top[0].Last != "dormant" || top[0].Name != "a.example" {
		t.Errorf("got %+v", top)
	}

	c, d := netip.PrefixFrom(a, 32), netip.PrefixFrom(b, 32)
	for _, e := range []earned.Event{
		{Kind: earned.EventEarned, Client: c, Name: "a.example"}, {Kind: earned.EventLeft, Client: c}, {Kind: earned.EventEarned, Client: c},
		{Kind: earned.EventEarned, Client: d, Name: "b.example"}, {Kind: earned.EventLeft, Client: d},
	} {
		tally.noteEarned(e)
	}
	if len(tally.left) != 1 || len(tally.names) != 0 {
		t.Errorf("left %v, names %v", tally.left, tally.names)
	}
}
