// Package feed reads lists that other programs wrote, in their own formats:
// each Format is a file.Grammar.
//
// What a file means here is what it means to the program whose format it is, or
// it is refused: nothing is skipped and nothing guessed. Where there are
// exclusions, they are holes of the list; several files of one list, in
// whatever formats, are one list, and a hole in one of them is a hole in all.
//
// A feed must be whole. An empty file is refused, and so is one that shows in
// its format that its end is missing. What does not show, as with a plain table
// that was cut between two lines, is for min_entries to find.
package feed

import (
	"fmt"
	"io"
	"strings"

	"ehlogate/lists/listfile"
)

// Format is the format of a file, by the name that stands in the config.
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

// Parse implements file.Grammar.
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

// ParseFormat gives the format of that name. Its error says which there are.
func ParseFormat(name string) (Format, error) {
	for _, f := range formats {
		if string(f.name) == name {
			return f.name, nil
		}
	}
	return "", fmt.Errorf("%q is no format: write one of %s", name, strings.Join(Formats(), ", "))
}

// Formats gives the names of all formats.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, string(f.name))
	}
	return names
}
