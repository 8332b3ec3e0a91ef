package nft

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// ListRules returns all rules of this network as "nft -j list ruleset" writes them.
func ListRules(ctx context.Context) ([]byte, error) {
	return runNFT(ctx, "", "-j", "-t", "list", "ruleset")
}

// Redirects returns the ports of this machine to which rules redirect connections to a TCP port, in what "nft -j list
// ruleset" wrote (libnftables-json(5)). A rule with the address of another machine is not one of them.
func Redirects(text []byte, port int) (to []int, err error) {
	var listing struct {
		Nftables []struct {
			Rule *struct {
				Expr []struct {
					Match *struct {
						Left struct {
							Payload struct{ Protocol, Field string }
						}
						Right json.RawMessage
					}
					Redirect, DNAT *struct {
						Addr json.RawMessage
						Port json.RawMessage
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &listing); err != nil {
		return nil, fmt.Errorf("cannot parse the output of nft -j: %w", err)
	}
	for _, n := range listing.Nftables {
		if n.Rule == nil {
			continue
		}
		isAbout := false
		for _, e := range n.Rule.Expr {
			if m := e.Match; m != nil && m.Left.Payload.Field == "dport" && (m.Left.Payload.Protocol == "tcp" || m.Left.Payload.Protocol == "th") {
				isAbout = matchesPort(m.Right, port)
			}
			target := e.Redirect
			if target == nil && e.DNAT != nil && len(e.DNAT.Addr) == 0 {
				target = e.DNAT
			}
			var number int
			if isAbout && target != nil && json.Unmarshal(target.Port, &number) == nil && !slices.Contains(to, number) {
				to = append(to, number)
			}
		}
	}
	return to, nil
}

// matchesPort reports whether the right side of a match has a port: a number, a range, or a set of these.
func matchesPort(right json.RawMessage, port int) bool {
	var number int
	var r struct {
		Range []int
		Set   []json.RawMessage
	}
	switch {
	case json.Unmarshal(right, &number) == nil:
		return number == port
	case json.Unmarshal(right, &r) != nil:
		return false
	case len(r.Range) == 2:
		return r.Range[0] <= port && port <= r.Range[1]
	}
	return slices.ContainsFunc(r.Set, func(e json.RawMessage) bool { return matchesPort(e, port) })
}
