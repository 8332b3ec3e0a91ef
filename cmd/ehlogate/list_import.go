package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/lists/feed"
)

func newListImport(o *options) *cobra.Command {
	f := editFlags{options: o}
	var format, span, date string
	cmd := &cobra.Command{
		Use:   "import LIST FILE",
		Short: "Add the entries of a file to a list",
		Long: `Adds the entries of FILE that the list does not have, below a comment that names
the file. It may be a list file, or in a format of other programs, as for feeds:
` + wrapWords(feed.Formats(), 80) + `
A file that changes every day is better named in the config, as a feed.`,
		Example: "  ehlogate list import deny /tmp/old-server.list --dry-run\n  ehlogate list import deny blocked.cidr --format postfix-cidr --for 30d",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("want a list and a file: write %s LIST FILE, as in %s deny /tmp/old.list", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			grammar, err := parseGrammar(format)
			if err != nil {
				return err
			}
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			attribute, err := e.Expiry(span, date)
			if err != nil {
				return err
			}
			found, err := e.PlanImport(args[0], listedit.Import{File: args[1], Format: grammar, Attribute: attribute, Reason: f.reason})
			if err != nil {
				return exitError{exitWrong, err}
			}
			if found.Skipped.Total > 0 {
				fmt.Fprint(cmd.ErrOrStderr(), found.Skipped.Report("warning"))
			}
			fmt.Fprint(cmd.OutOrStdout(), found.Text())
			return f.finish(cmd, found.Plan, nil)
		},
	}
	f.register(cmd, true)
	cmd.Flags().StringVar(&format, "format", "", "the format `NAME` of the file, if it is no list file")
	cmd.Flags().StringVar(&span, "for", "", "entries expire after `TIME`, such as 30d, unless they do so by themselves")
	cmd.Flags().StringVar(&date, "until", "", "entries expire at the end of the `DATE` (UTC), likewise")
	refuseBoth(cmd, "for", "until")
	return cmd
}

// wrapWords returns words as a text of lines, indented, of a width.
func wrapWords(words []string, width int) string {
	var lines []string
	line := "   "
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		if len(line)+1+len(word) > width {
			lines, line = append(lines, line), "   "
		}
		line += " " + word
	}
	return strings.Join(append(lines, line), "\n")
}
