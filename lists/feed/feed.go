// Package feed reads lists in the formats of other programs: each [Format] is a listfile.Grammar.
//
// A file means what it means to the program whose format it is, or it is refused: nothing is guessed. Of a feed, lines
// that this program skips, and lines that match no client, are skipped and counted (listfile.Findings). Exclusions are
// exceptions of the list. All files of a list are one list, and an exception in one of them holds for all.
//
// A feed must be whole. An empty file is refused, and so is one whose format shows that its end is missing. A plain
// table that was cut between two lines does not show that: min_entries is for that.
package feed

import (
	"fmt"
	"io"
	"strings"

	"ehlogate/lists/answer"
	"ehlogate/lists/listfile"
)

// Format is the format of a file, by its name in the config.
type Format string

const (
	Drop           Format = "drop"
	DropText       Format = "drop-txt"
	Addresses      Format = "addresses"
	Ranges         Format = "ranges"
	PostfixCIDR    Format = "postfix-cidr"
	PostfixAccess  Format = "postfix-access"
	PostfixExact   Format = "postfix-access-exact"
	SendmailAccess Format = "sendmail-access"
	RbldnsdIP4Set  Format = "rbldnsd-ip4set"
	RbldnsdIP6     Format = "rbldnsd-ip6trie"
	RbldnsdDNSet   Format = "rbldnsd-dnset"
	IPSet          Format = "ipset"
	NFT            Format = "nft"
)

// Filtered is a format, and which entries of its files count. The others are exceptions: to the program whose format it
// is, they hide wider entries.
type Filtered struct {
	Format
	Results string        // of a table: the first words of its results, in lower case, with blanks between; "": see table
	Answer  answer.Filter // of a file of rbldnsd; zero: any
}

var _, _ listfile.Grammar = Format(""), Filtered{}

// filters are what a format lets an operator choose by.
type filters int

const (
	none      filters = iota
	byResults         // Filtered.Results
	byAnswer          // Filtered.Answer
)

// definition is what there is to know of a format.
type definition struct {
	name    Format
	filters filters
	read    func(*listfile.Lines, Filtered)
}

// formats are all formats, in the order in which they are listed. ehlogate.list(5) describes them.
var formats = []definition{
	{Drop, none, readDrop},
	{DropText, none, readDropText},
	{Addresses, none, readAddresses},
	{Ranges, none, readRanges},
	{PostfixCIDR, byResults, readCIDR},
	{PostfixAccess, byResults, readAccess},
	{PostfixExact, byResults, readAccess},
	{SendmailAccess, byResults, readAccess},
	{RbldnsdIP4Set, byAnswer, readIP4Set},
	{RbldnsdIP6, byAnswer, readIP6Trie},
	{RbldnsdDNSet, byAnswer, readDNSet},
	{IPSet, none, readIPSet},
	{NFT, none, readNFT},
}

func (f Format) Parse(r io.Reader, name string, rules listfile.Rules, each func(*listfile.Item) error) error {
	return Filtered{Format: f}.Parse(r, name, rules, each)
}

func (f Filtered) Parse(r io.Reader, name string, rules listfile.Rules, each func(*listfile.Item) error) error {
	known, err := findDefinition(string(f.Format))
	if err != nil {
		return err
	}
	l := listfile.NewLines(r, name, rules, each)
	known.read(l, f)
	return l.Finish()
}

func (f Filtered) String() string { return string(f.Format) }

// HasResults reports whether files in this format are tables with results.
func (f Format) HasResults() bool { return f.filters() == byResults }

// HasAnswers reports whether files in this format have answers of a DNS list.
func (f Format) HasAnswers() bool { return f.filters() == byAnswer }

func (f Format) filters() filters {
	known, _ := findDefinition(string(f))
	return known.filters
}

// ParseFormat returns the format of that name. The error lists all names.
func ParseFormat(name string) (Format, error) {
	known, err := findDefinition(name)
	return known.name, err
}

func findDefinition(name string) (definition, error) {
	for _, known := range formats {
		if string(known.name) == name {
			return known, nil
		}
	}
	return definition{}, fmt.Errorf("unknown format %q: write one of %s", name, strings.Join(Formats(), ", "))
}

func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, string(f.name))
	}
	return names
}
