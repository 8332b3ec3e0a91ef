package export

import (
	"bytes"
	"context"
	"fmt"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
)

// WriteTable writes a table in a format that needs no action.
func (p *Policy) WriteTable(ctx context.Context, format string, out *bytes.Buffer) error {
	switch format {
	case "postfix-cidr":
		return p.WritePostfixCIDR(ctx, out)
	case "sendmail-access":
		return p.WriteSendmailAccess(ctx, out)
	case "exim-hosts":
		return p.WriteEximHosts(ctx, out)
	}
	return fmt.Errorf("unknown format %q", format)
}

// WriteNFT writes a script that replaces the elements of two sets of nftables, one for each family, by the addresses with
// this action. It is for "nft -f", or for an include behind the table. It fails as Addresses does.
func (p *Policy) WriteNFT(ctx context.Context, out *bytes.Buffer, action lists.Action, set nft.Set) error {
	ranges, err := p.Addresses(ctx, action)
	if err != nil {
		return err
	}
	p.writeHeader(out, "nft --action "+action.String(), fmt.Sprintf("for nft -f: replaces the elements of the sets %s4 and %s6", set, set.Name))
	out.WriteString(set.Script(ranges))
	return nil
}
