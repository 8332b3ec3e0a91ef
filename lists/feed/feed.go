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

// formats are all formats, in the order in which they are listed.
var formats = []struct {
	name Format
	help string
	read func(*listfile.Lines)
}{
	{Drop, "Spamhaus DROP, IPv4 and IPv6: one JSON object a line, metadata last", readDrop},
	{DropText, "Spamhaus DROP as text: PREFIX ; SBL number", readDropText},
	{Addresses, "an address, prefix or range FIRST-LAST a line; further columns are ignored", readAddresses},
	{PostfixCIDR, "cidr_table(5) of Postfix; what does not say DUNNO is on the list", readCIDR},
	{PostfixAccess, "access(5) of Postfix, by address and host name; \"domain\" is itself and all below", readAccess},
	{PostfixExact, "the same where parent_domain_matches_subdomains lacks smtpd_access_maps: \".domain\" is all below", readAccessExact},
	{RbldnsdIP4Set, "ip4set of rbldnsd(8)", readIP4Set},
	{RbldnsdIP6, "ip6trie of rbldnsd(8)", readIP6Trie},
	{RbldnsdDNSet, "dnset of rbldnsd(8): verified host names", readDNSet},
	{IPSet, "what \"ipset save\" writes, of sets hash:ip, hash:net and bitmap:ip", readIPSet},
	{NFT, "what \"nft list set\" writes, of sets of ipv4_addr and ipv6_addr", readNFT},
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

// FormatHelp gives a table of the formats, a line for each, with what it is.
func FormatHelp() string {
	var b strings.Builder
	for _, f := range formats {
		fmt.Fprintf(&b, "%-20s  %s\n", f.name, f.help)
	}
	return b.String()
}
