package lists_test

import (
	"context"
	"fmt"
	"net/netip"

	"ehlogate/lists"
)

// network is a source that matches the clients of one network.
type network netip.Prefix

func (n network) Lookup(c lists.Client) lists.Match {
	if netip.Prefix(n).Contains(c.Addr) {
		return lists.Match{Status: lists.Matched, By: n}
	}
	return lists.Match{Status: lists.NoMatch}
}

// Entry describes the entry that matched.
func (n network) Entry(int32, netip.Addr) lists.Entry {
	return lists.Entry{Text: netip.Prefix(n).String()}
}

// A source answers at once whether a client matches, and by which entry.
func ExampleSource() {
	var source lists.Source = network(netip.MustParsePrefix("192.0.2.0/24"))
	for _, addr := range []string{"192.0.2.7", "198.51.100.1"} {
		c := lists.Client{Addr: netip.MustParseAddr(addr)}
		m := source.Lookup(c)
		fmt.Println(addr, m.Status == lists.Matched, m.Entry(c.Addr).Text)
	}
	// Output:
	// 192.0.2.7 true 192.0.2.0/24
	// 198.51.100.1 false
}

// The first list that matches a client decides; the default decides about clients that are on no list.
func ExamplePolicy() {
	policy := &lists.Policy{
		Lists: []*lists.List{
			{Name: "partners", Action: lists.Offer, Source: network(netip.MustParsePrefix("192.0.2.16/28"))},
			{Name: "deny", Action: lists.Suppress, Source: network(netip.MustParsePrefix("192.0.2.0/24"))},
		},
		Default: lists.Offer,
	}
	for _, addr := range []string{"192.0.2.17", "192.0.2.1", "198.51.100.1"} {
		d := policy.Decide(context.Background(), lists.Client{Addr: netip.MustParseAddr(addr)})
		fmt.Println(addr, d.Action, d.Reason, d.ListName(), d.Entry().Text)
	}
	// Output:
	// 192.0.2.17 offer listed partners 192.0.2.16/28
	// 192.0.2.1 suppress listed deny 192.0.2.0/24
	// 198.51.100.1 offer default
}
