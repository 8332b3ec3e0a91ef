package export

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
)

// WriteNFT writes a script that replaces the elements of two sets of nftables, one for each family, by the addresses with
// this action. It is for "nft -f", or for an include behind the table. It fails as Addresses does.
func (p *Policy) WriteNFT(ctx context.Context, w io.Writer, action lists.Action, set nft.Set) error {
	ranges, err := p.Addresses(ctx, action)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	p.writeHeader(out, "nft --action "+action.String(), fmt.Sprintf("for nft -f: replaces the elements of the sets %s4 and %s6", set, set.Name))
	out.WriteString(set.Script(ranges))
	return out.Flush()
}
