package main

import "github.com/spf13/cobra"

func newListRemove(o *options) *cobra.Command {
	f := editFlags{options: o}
	cmd := &cobra.Command{
		Use:   "rm LIST ENTRY",
		Short: "Remove an entry from a list",
		Long: `Cuts the line that has the entry out of its file. The spelling need not be the
same: 2001:DB8::1 removes 2001:db8::1. An address that only a network covers has
no line of its own: the message names that network.`,
		Example: "  ehlogate list rm deny 192.0.2.7\n  ehlogate list rm deny helo:ylmf-pc --dry-run",
		Args:    needListAndEntry,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			p, err := e.PlanRemove(args[0], args[1], f.reason)
			return f.finish(cmd, p, err)
		},
	}
	f.register(cmd, true)
	return cmd
}
