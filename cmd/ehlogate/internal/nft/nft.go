// Package nft fills sets of addresses in nftables.
//
// It runs nft(8), so an operator can read and repeat every step. All elements are replaced in one transaction: a packet
// meets the sets as they were or as they are to be, and they stay as they were if nft refuses one element. That takes
// less time than adding and removing single elements, for which nft reads the whole table first. Since it resets
// comments and counters of elements, callers compare first, and replace only sets that differ.
package nft

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"go4.org/netipx"

	"ehlogate/lists/lazyregexp"
)

// commandTimeout is how long one run of nft may take.
const commandTimeout = time.Minute

const loadRulesFirst = "load the rules that have it first"

// runNFT passes a script to the standard input of nft and returns what nft wrote.
func runNFT(ctx context.Context, script string, args ...string) ([]byte, error) {
	path, err := exec.LookPath("nft")
	if err != nil {
		path = "/usr/sbin/nft" // not in the PATH of every user
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		message, hint := strings.TrimSpace(stderr.String()), ""
		switch {
		case errors.Is(err, fs.ErrNotExist):
			hint = "install nftables (Debian: apt-get install nftables)"
		case strings.Contains(message, "Operation not permitted"):
			hint = "\nnftables needs root or CAP_NET_ADMIN"
		case strings.Contains(message, "No such file or directory"):
			hint = "\n" + loadRulesFirst
		}
		return nil, fmt.Errorf("nft %s: %w\n%s%s", strings.Join(args, " "), err, message, hint)
	}
	return stdout.Bytes(), nil
}

// Set names a pair of sets in a table, NAME4 and NAME6: a set of nftables holds addresses of one family.
type Set struct{ Family, Table, Name string }

// setName takes identifiers of nft(8), with room for 4 or 6.
var setName = lazyregexp.New(`^\s*(inet|ip|ip6|netdev|bridge)\s+([A-Za-z_][\w./-]{0,62})\s+([A-Za-z_][\w./-]{0,62})\s*$`)

// ParseSet reads "FAMILY TABLE NAME".
func ParseSet(text string) (Set, error) {
	f := setName.FindStringSubmatch(text)
	if f == nil {
		return Set{}, fmt.Errorf(`invalid set name %q: write "FAMILY TABLE NAME", such as "inet ehlogate trusted" for the sets trusted4 and trusted6`, text)
	}
	return Set{f[1], f[2], f[3]}, nil
}

// String returns the name as ParseSet reads it.
func (s Set) String() string { return s.Family + " " + s.Table + " " + s.Name }

// members are the two sets of a pair: the end of the name, and the type of the elements.
var members = []struct {
	suffix, typ string
	is4         bool
}{{"4", "ipv4_addr", true}, {"6", "ipv6_addr", false}}

// perCommand is how many elements one command has: nft parses long commands slowly.
const perCommand = 1000

// Script returns a script for "nft -f" that replaces the elements of both sets by these ranges in one transaction. No
// two of the ranges may overlap or touch.
func (s Set) Script(ranges []netipx.IPRange) string {
	var b strings.Builder
	for _, m := range members {
		fmt.Fprintf(&b, "flush set %s%s\n", s, m.suffix)
		family := slices.DeleteFunc(slices.Clone(ranges), func(r netipx.IPRange) bool { return r.From().Is4() != m.is4 })
		for chunk := range slices.Chunk(family, perCommand) {
			fmt.Fprintf(&b, "add element %s%s {\n", s, m.suffix)
			for _, r := range chunk {
				fmt.Fprintf(&b, "\t%s,\n", FormatRange(r))
			}
			b.WriteString("}\n")
		}
	}
	return b.String()
}

// Replace replaces the elements of both sets in the kernel, all of them or none.
func (s Set) Replace(ctx context.Context, ranges []netipx.IPRange) error {
	_, err := runNFT(ctx, s.Script(ranges), "-f", "-")
	return err
}

// FormatRange returns a range as nft writes it: an address, a prefix, or FROM-TO.
func FormatRange(r netipx.IPRange) string {
	switch p, ok := r.Prefix(); {
	case r.From() == r.To():
		return r.From().String()
	case ok:
		return p.String()
	}
	return r.String()
}

// Compare returns the ranges that both sets together lack and those that they have too many. It fails if a set does not
// exist or cannot hold ranges.
func (s Set) Compare(ctx context.Context, want []netipx.IPRange) (missing, surplus []netipx.IPRange, err error) {
	out, err := runNFT(ctx, "", "-j", "list", "table", s.Family, s.Table) // nft reads the whole table in any case
	if err != nil {
		return nil, nil, err
	}
	var have []netipx.IPRange
	for _, m := range members {
		ranges, err := parseElements(out, s.Name+m.suffix, m.typ)
		if err != nil {
			return nil, nil, fmt.Errorf("the set %s%s: %w", s, m.suffix, err)
		}
		have = append(have, ranges...)
	}
	return subtract(want, have), subtract(have, want), nil
}

func subtract(a, b []netipx.IPRange) []netipx.IPRange {
	in := make(map[netipx.IPRange]bool, len(b))
	for _, r := range b {
		in[r] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(r netipx.IPRange) bool { return in[r] })
}

// parseElements returns the elements of a set in what "nft -j list table" wrote (libnftables-json(5)). The set must
// have this type.
func parseElements(text []byte, name, typ string) (ranges []netipx.IPRange, err error) {
	var listing struct {
		Nftables []struct {
			Set *struct {
				Name  string
				Type  any
				Flags []string
				Elem  []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &listing); err != nil {
		return nil, fmt.Errorf("cannot parse the output of nft -j: %w", err)
	}
	for _, n := range listing.Nftables {
		if n.Set == nil || n.Set.Name != name {
			continue
		}
		if n.Set.Type != typ || !slices.Contains(n.Set.Flags, "interval") {
			return nil, fmt.Errorf(`it cannot contain ranges of addresses: declare it with "type %s; flags interval;"`, typ)
		}
		for _, raw := range n.Set.Elem {
			r := parseElement(raw)
			if !r.IsValid() {
				return nil, fmt.Errorf("cannot parse the output of nft -j: invalid address %s", raw)
			}
			ranges = append(ranges, r)
		}
		return ranges, nil
	}
	return nil, errors.New("no such set: " + loadRulesFirst)
}

// parseElement reads an address, a prefix, a range, or one of these with a comment or counter beside it. For anything
// else it returns an invalid range.
func parseElement(raw json.RawMessage) netipx.IPRange {
	var addr netip.Addr
	var e struct {
		Prefix struct {
			Addr netip.Addr
			Len  int
		}
		Range []netip.Addr
		Elem  struct{ Val json.RawMessage }
	}
	switch {
	case json.Unmarshal(raw, &addr) == nil:
		return netipx.IPRangeFrom(addr, addr)
	case json.Unmarshal(raw, &e) != nil:
		return netipx.IPRange{}
	case e.Elem.Val != nil:
		return parseElement(e.Elem.Val)
	case len(e.Range) == 2:
		return netipx.IPRangeFrom(e.Range[0], e.Range[1])
	}
	return netipx.RangeOfPrefix(netip.PrefixFrom(e.Prefix.Addr, e.Prefix.Len))
}
