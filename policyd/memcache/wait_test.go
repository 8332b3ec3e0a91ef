package memcache

import (
	"context"
	"slices"
	"testing"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// Several keys in one get wait once: behind the first, the cache answers.
func TestOneWait(t *testing.T) {
	var waits []bool
	decider := func(wait bool) lists.Decider {
		return lists.DeciderFunc(func(context.Context, lists.Client) lists.Decision {
			waits = append(waits, wait)
			return lists.Decision{}
		})
	}
	s := &Server{policyd.Backend{
		Decider: decider(true), Cached: decider(false),
		Values: func(lists.Decision) *policyd.Values { return policyd.NewValues(nil, false) },
	}}
	_, _, err := s.Answer(t.Context(), []byte("get starttls:192.0.2.1 starttls:192.0.2.2 starttls:192.0.2.3\r\n"), nil)
	if want := []bool{true, false, false}; err != nil || !slices.Equal(waits, want) {
		t.Errorf("may wait: %v, want %v; %v", waits, want, err)
	}
}
