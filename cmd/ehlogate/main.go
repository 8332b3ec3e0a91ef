// Command ehlogate tells mail servers which clients are offered STARTTLS.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/listfile"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes of all commands.
const (
	exitWrong  = 1  // what was asked about is wrong
	exitUsage  = 2  // the command line is wrong
	exitConfig = 78 // serve cannot use the config (EX_CONFIG of sysexits.h)
)

// exitError is an error with the exit code that it leads to. Its message was
// reported already if err is nil.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return fmt.Sprint(e.err) }

func (e exitError) Unwrap() error { return e.err }

// run is the whole program but for the exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var exit exitError
	if !errors.As(err, &exit) { // cobra's own are all about the command line
		fmt.Fprintf(stderr, "ehlogate: %v\nTry '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	}
	if exit.err != nil {
		report(stderr, exit.err)
	}
	return exit.code
}

// report writes an error, and all of the problems if it is made of such.
func report(w io.Writer, err error) {
	var ps *listfile.Problems
	if errors.As(err, &ps) {
		fmt.Fprint(w, ps.Show("error"))
		return
	}
	if unread := new(listfile.UnreadError); errors.As(err, unread) {
		fmt.Fprint(w, unread.Show("error"))
		return
	}
	fmt.Fprintf(w, "ehlogate: %v\n", err)
}

// options are the flags that all commands share.
type options struct {
	config string
}

func (o *options) load() (*config.Config, error) { return config.Load(o.config) }

func newRoot() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "ehlogate",
		Short: "Decides which SMTP clients are offered STARTTLS",
		Long: `ehlogate answers one question for a mail server, at the start of every SMTP
session: may this client have STARTTLS? Clients on an allow list are offered
it; clients on a deny list do not see the keyword and send in the clear.

The lists are plain files, edited by hand and followed while the daemon runs:

    192.0.2.0/24                    # a network; the text behind # is a note
    !192.0.2.13                     # a hole in it
    mail.example.org                # a verified host name
    198.51.100.4 until=2026-12-01   # ends by itself

Begin with "ehlogate serve", ask "ehlogate explain 192.0.2.7" what is decided
and why, and let "ehlogate check" look over what you edited.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.PersistentFlags().StringVarP(&o.config, "config", "c", "",
		"config `FILE` (default "+config.DefaultFile+" if it exists, else built-in defaults)")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(&o), newCheck(&o), newExplain(&o), newExport(&o), newDoctor(&o), newVersion())
	addManual(root)
	addCompletions(root)
	return root
}
