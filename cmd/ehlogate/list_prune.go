package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newListPrune(o *options) *cobra.Command {
	f := editFlags{options: o}
	cmd := &cobra.Command{
		Use:   "prune [LIST]",
		Short: "Remove expired entries",
		Long: `Cuts the lines of expired entries out of the files of a list, or of all of
your own lists. They have had no effect since they expired. ehlogate never does
that by itself: the lines and their notes may be worth keeping.`,
		Example: "  ehlogate list prune --dry-run\n  ehlogate list prune deny",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			list := ""
			if len(args) > 0 {
				list = args[0]
			}
			plans, err := e.PlanPrune(list, f.reason)
			if err != nil {
				return exitError{exitWrong, err}
			}
			if len(plans) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: no entry has expired")
			}
			for _, p := range plans {
				if err := f.write(cmd, p); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.register(cmd, true)
	return cmd
}
