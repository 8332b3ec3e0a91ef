package export

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
)

// NFT writes the addresses about which is decided so as two sets of nftables,
// one a family, for "nft -f", or for an include behind the table: what is in the
// sets is replaced, in one step. It fails as PostfixCIDR does.
func (p *Policy) NFT(ctx context.Context, w io.Writer, action lists.Action, set nft.Set) error {
	ranges, err := p.Set(ctx, action)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	p.header(out, "nft --action "+action.String(), fmt.Sprintf("for nft -f: replaces what the sets %s4 and %s6 hold", set, set.Name))
	out.WriteString(set.Script(ranges))
	return out.Flush()
}
