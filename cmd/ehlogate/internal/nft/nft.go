// Package nft keeps sets of addresses in nftables (nft(8)) as they should be.
//
// The program nft is asked and told, and not the kernel: what is done can be
// read, done by hand, and looked up in its manual. Whatever changes does so in
// one transaction, so a packet meets the sets as they were or as they are to be.
package nft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"go4.org/netipx"
)

// limit is how long nft may take for one thing.
const limit = time.Minute

// Command is nft with arguments. It fails if there is none.
func Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	for _, name := range []string{"nft", "/usr/sbin/nft"} {
		if path, err := exec.LookPath(name); err == nil {
			return exec.CommandContext(ctx, path, args...), nil
		}
	}
	return nil, errors.New("nft is needed (Debian: apt-get install nftables)")
}

// Run gives arguments, and a script for its standard input, to nft, and returns
// what it wrote. An error has what nft said about it.
func Run(ctx context.Context, script string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd, err := Command(ctx, args...)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, &Error{Args: args, Said: strings.TrimSpace(stderr.String()), Err: err}
	}
	return stdout.Bytes(), nil
}

// Error is a refusal of nft.
type Error struct {
	Args []string
	Said string
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("nft %s: %v\n%s", strings.Join(e.Args, " "), e.Err, e.Said)
}

func (e *Error) Unwrap() error { return e.Err }

// Set names a pair of sets, since a set holds addresses of one family: those of
// NAME4 and NAME6 in a table.
type Set struct{ Family, Table, Name string }

var word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]{0,62}$`) // an identifier of nft(8), with room for 4 or 6

// ParseSet reads "FAMILY TABLE NAME".
func ParseSet(text string) (Set, error) {
	f := strings.Fields(text)
	if len(f) != 3 || f[0] != "inet" && f[0] != "ip" && f[0] != "ip6" && f[0] != "netdev" && f[0] != "bridge" ||
		!word.MatchString(f[1]) || !word.MatchString(f[2]) {
		return Set{}, fmt.Errorf(`%q names no set: write "FAMILY TABLE NAME", such as "inet ehlogate trusted" for the sets trusted4 and trusted6`, text)
	}
	return Set{f[0], f[1], f[2]}, nil
}

// families are the parts of a pair: what is behind the name, and the type of
// what they hold.
var families = [...]struct {
	suffix, typ string
	is4         bool
}{{"4", "ipv4_addr", true}, {"6", "ipv6_addr", false}}

// String is what ParseSet reads.
func (s Set) String() string { return s.Family + " " + s.Table + " " + s.Name }

// Replace is a script that has the sets hold these ranges, whatever they held.
// No two of the ranges may overlap or touch.
func (s Set) Replace(ranges []netipx.IPRange) string {
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "flush set %s%s\n", s, f.suffix)
		s.elements(&b, "add", f.suffix, of(ranges, f.is4))
	}
	return b.String()
}

// of gives the ranges of one family.
func of(ranges []netipx.IPRange, is4 bool) (out []netipx.IPRange) {
	for _, r := range ranges {
		if r.From().Is4() == is4 {
			out = append(out, r)
		}
	}
	return out
}

// perCommand is how many elements stand in one command; nft takes a long time to
// parse long ones.
const perCommand = 1000

func (s Set) elements(b *strings.Builder, verb, suffix string, ranges []netipx.IPRange) {
	for len(ranges) > 0 {
		n := min(perCommand, len(ranges))
		fmt.Fprintf(b, "%s element %s%s {\n", verb, s, suffix)
		for _, r := range ranges[:n] {
			fmt.Fprintf(b, "\t%s,\n", Text(r))
		}
		b.WriteString("}\n")
		ranges = ranges[n:]
	}
}

// Text is a range as nft writes it: an address, a prefix, or FROM-TO.
func Text(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	return r.From().String() + "-" + r.To().String()
}

// Change is what is to be done to have the sets hold what they should.
type Change struct {
	Set            Set
	Script         string // for nft -f; empty if nothing is to be done
	Added, Removed int    // elements
	Held           int    // elements before
}

// Difference looks at the sets, and says what is to be done to have them hold
// these ranges, no two of which may overlap or touch: elements that stay are not
// touched. It fails if the sets are not there, or cannot hold them.
func (s Set) Difference(ctx context.Context, want []netipx.IPRange) (Change, error) {
	c := Change{Set: s}
	held, err := s.read(ctx)
	if err != nil {
		return Change{}, err
	}
	var remove, add strings.Builder
	for i, f := range families {
		gone, fresh := difference(held[i], of(want, f.is4))
		s.elements(&remove, "delete", f.suffix, gone)
		s.elements(&add, "add", f.suffix, fresh)
		c.Held += len(held[i])
		c.Removed += len(gone)
		c.Added += len(fresh)
	}
	c.Script = remove.String() + add.String()
	return c, nil
}

// difference compares two sets, each in order and without overlaps.
func difference(have, want []netipx.IPRange) (gone, fresh []netipx.IPRange) {
	for len(have) > 0 || len(want) > 0 {
		switch {
		case len(want) == 0 || len(have) > 0 && less(have[0], want[0]):
			gone, have = append(gone, have[0]), have[1:]
		case len(have) == 0 || less(want[0], have[0]):
			fresh, want = append(fresh, want[0]), want[1:]
		default:
			have, want = have[1:], want[1:]
		}
	}
	return gone, fresh
}

func less(a, b netipx.IPRange) bool {
	if c := a.From().Compare(b.From()); c != 0 {
		return c < 0
	}
	return a.To().Less(b.To())
}

// Apply does it, as a whole or not at all.
func (c Change) Apply(ctx context.Context) error {
	if c.Script == "" {
		return nil
	}
	_, err := Run(ctx, c.Script, "-f", "-")
	return c.Set.explain(err)
}

const loadFirst = "load the rules that have it first"

// explain adds what to do about a refusal.
func (s Set) explain(err error) error {
	var refused *Error
	switch {
	case !errors.As(err, &refused):
		return err
	case strings.Contains(refused.Said, "Operation not permitted"):
		return fmt.Errorf("%w\nnftables takes root, or CAP_NET_ADMIN", err)
	case strings.Contains(refused.Said, "No such file or directory"):
		return fmt.Errorf("%w\n%s", err, loadFirst)
	}
	return err
}
