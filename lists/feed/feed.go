// Package feed reads lists in the formats of other programs: each [Format] is a listfile.Grammar.
//
// A file means what it means to the program whose format it is, or it is refused: nothing is skipped and nothing guessed.
// Exclusions are exceptions of the list. All files of a list are one list, and an exception in one of them holds for
// all.
//
// A feed must be whole. An empty file is refused, and so is one whose format shows that its end is missing. A plain
// table that was cut between two lines does not show that: min_entries is for that.
package feed

import (
	"fmt"
	"io"
	"strings"

	"ehlogate/lists/listfile"
)

// Format is the format of a file, by its name in the config.
type Format string

// The formats.
const (
	Drop          Format = "drop"
	DropText      Format = "drop-txt"
	Addresses     Format = "addresses"
	PostfixCIDR   Format = "postfix-cidr"
	PostfixAccess Format = "postfix-access"
	PostfixExact  Format = "postfix-access-exact"
	RbldnsdIP4Set Format = "rbldnsd-ip4set"
	RbldnsdIP6    Format = "rbldnsd-ip6trie"
	RbldnsdDNSet  Format = "rbldnsd-dnset"
	IPSet         Format = "ipset"
	NFT           Format = "nft"
)

var _ listfile.Grammar = Format("")

// formats are all formats, in the order in which they are listed. ehlogate.list(5) describes them.
var formats = []struct {
	name Format
	read func(*listfile.Lines)
}{
	{Drop, readDrop},
	{DropText, readDropText},
	{Addresses, readAddresses},
	{PostfixCIDR, readCIDR},
	{PostfixAccess, readAccess},
	{PostfixExact, readAccessExact},
	{RbldnsdIP4Set, readIP4Set},
	{RbldnsdIP6, readIP6Trie},
	{RbldnsdDNSet, readDNSet},
	{IPSet, readIPSet},
	{NFT, readNFT},
}

// Parse implements listfile.Grammar.
func (f Format) Parse(r io.Reader, name string, rules listfile.Rules, each func(*listfile.Item) error) error {
	for _, known := range formats {
		if known.name == f {
			l := listfile.NewLines(r, name, rules, each)
			known.read(l)
			return l.Finish()
		}
	}
	_, err := ParseFormat(string(f))
	return err
}

// ParseFormat returns the format of that name. The error lists all names.
func ParseFormat(name string) (Format, error) {
	for _, f := range formats {
		if string(f.name) == name {
			return f.name, nil
		}
	}
	return "", fmt.Errorf("unknown format %q: write one of %s", name, strings.Join(Formats(), ", "))
}

// Formats returns the names of all formats.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, string(f.name))
	}
	return names
}
