package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/lists/printable"
)

func newListShow(o *options) *cobra.Command {
	var filter listedit.Filter
	var asJSON, unused bool
	var days int
	cmd := &cobra.Command{
		Use:   "show [LIST]",
		Short: "Show the lists, or the entries of one",
		Long: `Without LIST, shows all lists: what each does, how many entries it has, and its
files. With LIST, shows its entries, each with its place. With --expired alone,
shows the expired entries of all lists.

With --unused, shows the entries of your own lists that matched no session for
90 days, or another number of --days, as the daemon counted. Days on which no
daemon ran do not count.`,
		Example: "  ehlogate list show\n  ehlogate list show --unused\n  ehlogate list show deny --json\n  ehlogate list show --expired",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := editFlags{options: o}
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			if unused && filter.Expired {
				return errors.New("--unused and --expired cannot go together: an entry that has expired is not counted")
			}
			if days < 1 {
				return errors.New("--days must be at least 1")
			}
			if len(args) == 0 && !unused && filter == (listedit.Filter{}) {
				all := e.DescribeLists()
				return printLearned(cmd.OutOrStdout(), asJSON, all, all.Text)
			}
			list := ""
			if len(args) > 0 {
				list = args[0]
			}
			each := func(show func(*listedit.Entry) error) error { return e.EachEntry(list, filter, show) }
			if unused {
				each = func(show func(*listedit.Entry) error) error {
					note, err := e.EachUnused(list, days, show)
					if note != "" {
						fmt.Fprintln(cmd.ErrOrStderr(), note)
					}
					return err
				}
			}
			if err := showEntries(cmd, each, asJSON); err != nil {
				return exitError{exitWrong, err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&filter.Expired, "expired", false, "only entries that have expired")
	cmd.Flags().BoolVar(&unused, "unused", false, "only entries of your own lists that matched no session for 90 days")
	cmd.Flags().IntVar(&days, "days", 90, "the number of days for --unused, `N`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// showEntries writes entries.
func showEntries(cmd *cobra.Command, each func(func(*listedit.Entry) error) error, asJSON bool) error {
	if asJSON {
		all := listedit.Entries{Entries: []listedit.Entry{}}
		err := each(func(entry *listedit.Entry) error {
			all.Entries = append(all.Entries, *entry)
			return nil
		})
		return errors.Join(err, printable.WriteJSON(cmd.OutOrStdout(), all))
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	err := each(func(entry *listedit.Entry) error {
		_, err := fmt.Fprintln(out, entry)
		return err
	})
	return errors.Join(err, out.Flush())
}

func newListFind(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "find ENTRY",
		Short: "Show which entries match a client or a network",
		Long: `Shows the entries of all lists of files, feeds too, that match an address or a
name, or that overlap a network, a range or a domain; and for one client which
of them decides, by the files on disk. "ehlogate explain" also has DNS lists,
what was learned, and what the running daemon says.

Exit status 1 if no entry matches, or a list cannot be read.`,
		Example: "  ehlogate list find 192.0.2.7\n  ehlogate list find 192.0.2.0/24\n  ehlogate list find .example.net --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want one address, network or name: write %s 192.0.2.7", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f := editFlags{options: o}
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			found, err := e.Find(args[0])
			if err != nil {
				return exitError{exitWrong, err}
			}
			if err := printLearned(cmd.OutOrStdout(), asJSON, found, found.Text); err != nil {
				return exitError{exitWrong, err}
			}
			if len(found.Errors) > 0 {
				return exitError{exitWrong, fmt.Errorf("%s\nthere may be other entries", strings.Join(found.Errors, "\n"))}
			}
			if len(found.Entries) == 0 {
				return exitError{code: exitWrong}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}
