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
	for late := false; m.Status == lists.Pending && !late && !errors.Is(ctx.Err(), context.Canceled); {
		late = !waitForAny(ctx, m.Ready)
		m = s.LookupAgain(c, late)
	}
	return m
}

// Verify asks for a name as a lists.Policy does.
func Verify(ctx context.Context, n lists.NameVerifier, addr netip.Addr) (string, lists.Status) {
	m := n.Verify(addr)
	for late := false; m.Status == lists.Pending && !late && !errors.Is(ctx.Err(), context.Canceled); {
		late = !waitForAny(ctx, m.Ready)
		m = n.VerifyAgain(addr, late)
	}
	return m.Name, m.Status
}

func waitForAny(ctx context.Context, ready []<-chan struct{}) bool {
	if len(ready) == 0 {
		return false
	}
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	for _, r := range ready {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(r)})
	}
	i, _, _ := reflect.Select(cases)
	return i > 0
}
