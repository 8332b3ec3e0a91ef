package export

import (
	"context"
	"fmt"
	"io"
	"strings"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
)

// The formats of tables for Postfix.
const (
	PostfixCIDR      = "postfix-cidr"
	PostfixCIDRFlat  = "postfix-cidr-flat"
	PostfixAddresses = "postfix-addresses"
	PostfixNetworks  = "postfix-networks"
)

// formats are the formats that need no action, in the order in which they are listed.
var formats = []struct {
	name  string
	write func(*Policy, context.Context, io.Writer) error
}{
	{PostfixCIDR, (*Policy).WritePostfixCIDR},
	{PostfixCIDRFlat, (*Policy).WritePostfixCIDRFlat},
	{PostfixAddresses, (*Policy).WritePostfixAddresses},
	{PostfixNetworks, (*Policy).WritePostfixNetworks},
	{"sendmail-access", (*Policy).WriteSendmailAccess},
	{"exim-hosts", (*Policy).WriteEximHosts},
}

// Formats returns the names of all formats, that of nft included.
func Formats() (names []string) {
	for _, f := range formats {
		names = append(names, f.name)
	}
	return append(names, "nft")
}

// IsForPostfix reports whether a format is one of Postfix: a table of it is about one service.
func IsForPostfix(format string) bool { return strings.HasPrefix(format, "postfix-") }

// CIDRFormats are the formats of a cidr_table(5).
var CIDRFormats = []string{PostfixCIDR, PostfixCIDRFlat, PostfixNetworks}

// WriteTable writes a table in a format that needs no action.
func (p *Policy) WriteTable(ctx context.Context, format string, out io.Writer) error {
	for _, f := range formats {
		if f.name == format {
			return f.write(p, ctx, out)
		}
	}
	return fmt.Errorf("unknown format %q", format)
}

// WriteNFT writes a script that replaces the elements of two sets of nftables, one for each family, by the addresses with
// this action. It is for "nft -f", or for an include behind the table. It fails as Addresses does.
func (p *Policy) WriteNFT(ctx context.Context, out io.Writer, action lists.Action, set nft.Set) error {
	ranges, err := p.Addresses(ctx, action)
	if err != nil {
		return err
	}
	p.writeHeader(out, "nft --action "+action.String(), fmt.Sprintf("for nft -f: replaces the elements of the sets %s4 and %s6", set, set.Name))
	_, err = io.WriteString(out, set.Script(ranges))
	return err
}
