package main

import (
	"context"
	"fmt"
	"io"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
)

// defaultSetNames are the names of the sets without --set, by the actions that a set can be about.
var defaultSetNames = map[lists.Action]string{lists.Offer: "trusted", lists.Suppress: "denied", lists.Require: "required", lists.Legacy: "legacy"}

// parseSet reads --action and --set. It returns zero values for formats that have no sets.
func (e *exportFlags) parseSet() (action lists.Action, set nft.Set, err error) {
	if e.format != "nft" {
		return action, set, nil
	}
	if err := action.UnmarshalText([]byte(e.action)); err != nil {
		return action, set, fmt.Errorf("--action: %w", err)
	}
	name, ok := defaultSetNames[action]
	if !ok {
		return action, set, fmt.Errorf("--action: no client has the action %q: write offer, suppress, require or legacy", e.action)
	}
	if e.set == "" {
		return action, nft.Set{Family: "inet", Table: "ehlogate", Name: name}, nil
	}
	if set, err = nft.ParseSet(e.set); err != nil {
		return action, set, fmt.Errorf("--set: %w", err)
	}
	return action, set, nil
}

// fillSets replaces the elements of the sets in the kernel if they differ from the policy.
func (e *exportFlags) fillSets(ctx context.Context, p *export.Policy, action lists.Action, set nft.Set, stdout io.Writer) error {
	want, err := p.Addresses(ctx, action)
	if err != nil {
		return err
	}
	missing, surplus, err := set.Compare(ctx, want)
	if err != nil {
		return err
	}
	if e.dryRun {
		fmt.Fprintf(stdout, "%s: %d to add, %d to remove, %d then\n", set, len(missing), len(surplus), len(want))
		showRanges(stdout, "add", missing)
		showRanges(stdout, "remove", surplus)
		return nil
	}
	if len(missing)+len(surplus) == 0 {
		return nil
	}
	if err := set.Replace(ctx, want); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %d added, %d removed, %d now\n", set, len(missing), len(surplus), len(want))
	return err
}

// maxShownRanges is how many elements --dry-run shows of those to add, and of those to remove.
const maxShownRanges = 10

func showRanges(out io.Writer, verb string, ranges []netipx.IPRange) {
	for _, r := range ranges[:min(len(ranges), maxShownRanges)] {
		fmt.Fprintf(out, "%s %s\n", verb, nft.FormatRange(r))
	}
	if more := len(ranges) - maxShownRanges; more > 0 {
		fmt.Fprintf(out, "%s %d more\n", verb, more)
	}
}
