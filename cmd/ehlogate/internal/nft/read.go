package nft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// read gives what both sets hold, each in order. It asks once, for the whole
// table: whatever nft is asked, it first gets all that the table has.
func (s Set) read(ctx context.Context) (held [len(families)][]netipx.IPRange, err error) {
	out, err := Run(ctx, "", "-j", "list", "table", s.Family, s.Table)
	if err != nil {
		return held, s.explain(err)
	}
	for i, f := range families {
		if held[i], err = parseSet(out, s.Name+f.suffix, f.typ); err != nil {
			return held, fmt.Errorf("the set %s%s: %w", s, f.suffix, err)
		}
	}
	return held, nil
}

// parseSet finds a set in what "nft -j list table" writes (libnftables-json(5)),
// which must be of that type.
func parseSet(text []byte, name, typ string) ([]netipx.IPRange, error) {
	var all struct {
		Nftables []struct {
			Set *struct {
				Name  string
				Type  any
				Flags []string
				Elem  []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("nft wrote what cannot be read: %w", err)
	}
	for _, n := range all.Nftables {
		if n.Set == nil || n.Set.Name != name {
			continue
		}
		if n.Set.Type != typ || !slices.Contains(n.Set.Flags, "interval") {
			return nil, fmt.Errorf(`it cannot hold ranges of addresses: declare it with "type %s; flags interval;"`, typ)
		}
		var ranges []netipx.IPRange
		for _, raw := range n.Set.Elem {
			r, err := parseElement(raw, 0)
			if err != nil {
				return nil, err
			}
			ranges = append(ranges, r)
		}
		slices.SortFunc(ranges, func(a, b netipx.IPRange) int { return a.From().Compare(b.From()) })
		return ranges, nil
	}
	return nil, errors.New("there is no such set: " + loadFirst)
}

// Members gives some addresses of each set of addresses that there is, at most so
// many of one.
func Members(ctx context.Context, most int) (all []netip.Addr, err error) {
	out, err := Run(ctx, "", "-j", "list", "sets")
	if err != nil {
		return nil, err
	}
	var listed struct {
		Nftables []struct {
			Set *struct {
				Type any
				Elem []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(out, &listed); err != nil {
		return nil, fmt.Errorf("nft wrote what cannot be read: %w", err)
	}
	for _, n := range listed.Nftables {
		if n.Set == nil || n.Set.Type != "ipv4_addr" && n.Set.Type != "ipv6_addr" {
			continue
		}
		for _, raw := range n.Set.Elem[:min(most, len(n.Set.Elem))] {
			if r, err := parseElement(raw, 0); err == nil {
				all = append(all, r.From())
			}
		}
	}
	return all, nil
}

// parseElement reads an address, {"prefix": {"addr", "len"}}, {"range": [from,
// to]}, or {"elem": {"val": one of these}}.
func parseElement(raw json.RawMessage, depth int) (r netipx.IPRange, err error) {
	var addr netip.Addr
	if json.Unmarshal(raw, &addr) == nil && addr.IsValid() {
		return netipx.IPRangeFrom(addr, addr), nil
	}
	var e struct {
		Prefix struct {
			Addr netip.Addr
			Len  int
		}
		Range []netip.Addr
		Elem  struct{ Val json.RawMessage }
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return r, fmt.Errorf("element %s is no address: %w", raw, err)
	}
	switch {
	case e.Elem.Val != nil && depth == 0:
		return parseElement(e.Elem.Val, 1)
	case len(e.Range) == 2:
		r = netipx.IPRangeFrom(e.Range[0], e.Range[1])
	case e.Prefix.Addr.IsValid():
		r = netipx.RangeOfPrefix(netip.PrefixFrom(e.Prefix.Addr, e.Prefix.Len))
	}
	if !r.IsValid() {
		return r, fmt.Errorf("element %s is no address", raw)
	}
	return r, nil
}
