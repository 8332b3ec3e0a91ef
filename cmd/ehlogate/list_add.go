package main

import (
	"github.com/spf13/cobra"
)

func newListAdd(o *options) *cobra.Command {
	f := editFlags{options: o}
	var span, date string
	cmd := &cobra.Command{
		Use:   "add LIST ENTRY",
		Short: "Add an entry to a list",
		Long: `Adds a line at the end of a file of the list: ENTRY is an address, a network, a
range, a host name, .DOMAIN, helo:NAME or an exception ('!192.0.2.13'), as in
ehlogate.list(5). The note has the reason, the user and the day. An entry that
is there and ends earlier is changed in its place. If another entry of the list
covers it already, nothing is written.

It asks first (without a terminal, give --yes) if the entry is wider than a /16
(IPv6: /32), or if the client delivered mail over TLS in the last days, by the
logs that the running daemon reads ([logs]), and would be restricted.`,
		Example: `  ehlogate list add deny 192.0.2.7 --for 4h --reason "printer, TLS 1.0"
  ehlogate list add allow .example.net --dry-run
  ehlogate list add deny '!192.0.2.13' --until 2026-12-01`,
		Args: needListAndEntry,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			attribute, err := e.Expiry(span, date)
			if err != nil {
				return err
			}
			p, err := e.PlanAdd(args[0], args[1], attribute, f.reason)
			return f.finish(cmd, p, err)
		},
	}
	f.register(cmd, true)
	cmd.Flags().StringVar(&span, "for", "", "the entry expires after `TIME`, such as 4h, 7d or 2w")
	cmd.Flags().StringVar(&date, "until", "", "the entry expires at the end of the `DATE` (UTC), or at a time in RFC 3339")
	refuseBoth(cmd, "for", "until")
	return cmd
}
