package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
)

func newListLog(o *options) *cobra.Command {
	var most int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "log [LIST]",
		Short: "Show the edits of lists",
		Long: `Shows the last edits that "ehlogate list" made, of one list or of all: number,
time, user, command, reason, and which lines were written and cut. Edits by an
editor are not among them.`,
		Example: "  ehlogate list log\n  ehlogate list log deny --last 5 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if most < 0 {
				return errors.New("--last must be at least 1, or 0 for all")
			}
			f := editFlags{options: o}
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			list := ""
			if len(args) > 0 {
				list = args[0]
			}
			log, err := e.ReadLog(list, most)
			if err != nil {
				return exitError{exitWrong, err}
			}
			if log.Note != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+log.Note)
			}
			return printLearned(cmd.OutOrStdout(), asJSON, log, log.Text)
		},
	}
	cmd.Flags().IntVar(&most, "last", 20, "how many edits, `N`; 0: all that are kept")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func newListUndo(o *options) *cobra.Command {
	f := editFlags{options: o}
	cmd := &cobra.Command{
		Use:   "undo [NUMBER]",
		Short: "Take back an edit",
		Long: `Takes back the last edit that is in effect, or the one with that number of
"ehlogate list log": what it wrote is cut, and what it cut is written again.
Edits made since stay. If its line was changed since, nothing is done, and the
message says why. A second undo takes back the edit before. An undo is an edit,
too: with the number of an undo, its edit is put back.`,
		Example: "  ehlogate list undo\n  ehlogate list undo 14 --dry-run",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number := 0
			if len(args) > 0 {
				var err error
				if number, err = strconv.Atoi(args[0]); err != nil || number < 1 {
					return fmt.Errorf("%q is not the number of an edit: ehlogate list log shows them", args[0])
				}
			}
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			p, err := e.PlanUndo(number, f.reason)
			return f.finish(cmd, p, err)
		},
	}
	f.register(cmd, false)
	return cmd
}
