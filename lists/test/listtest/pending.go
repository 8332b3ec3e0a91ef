package listtest

import (
	"context"
	"errors"
	"net/netip"
	"reflect"

	"ehlogate/lists"
)

// Lookup asks a source as a lists.Policy does: it waits for what is pending until ctx ends. At a deadline an answer that is
// too old counts.
func Lookup(ctx context.Context, s lists.PendingSource, c lists.Client) lists.Match {
	m := s.Lookup(c)
	for t := lists.First; m.Status == lists.Pending && t != lists.Last && !errors.Is(ctx.Err(), context.Canceled); {
		t = nextTurn(ctx, m.Ready)
		m = s.LookupTurn(c, t)
	}
	return m
}

// Verify asks for a name as a lists.Policy does.
func Verify(ctx context.Context, n lists.NameVerifier, addr netip.Addr) (string, lists.Status) {
	m := n.Verify(addr, lists.First)
	for t := lists.First; m.Status == lists.Pending && t != lists.Last && !errors.Is(ctx.Err(), context.Canceled); {
		t = nextTurn(ctx, m.Ready)
		m = n.Verify(addr, t)
	}
	return m.Name, m.Status
}

// nextTurn waits until one of ready is closed, or ctx ends.
func nextTurn(ctx context.Context, ready []<-chan struct{}) lists.Turn {
	if len(ready) == 0 {
		return lists.Last
	}
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	for _, r := range ready {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(r)})
	}
	if i, _, _ := reflect.Select(cases); i == 0 {
		return lists.Last
	}
	return lists.Again
}
