// Command ehlogate tells mail servers which clients are offered STARTTLS.
//
// main and run are here, the commands in root.go, and each of them in a file of its own. Their man pages are in man/.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logformat"
	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/printable"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes of all commands.
const (
	exitWrong  = 1  // what was examined is wrong, or the command failed
	exitUsage  = 2  // the command line is wrong
	exitConfig = 78 // serve cannot use the config (EX_CONFIG of sysexits.h)
)

// exitError is an error with the exit code that it leads to. If err is nil, its message was reported already.
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
	exit, ok := errors.AsType[exitError](err)
	if cmd.Name() == "serve" && logsJSON(cmd) {
		log := logrus.NewEntry(newLogger(config.Log{Level: logrus.InfoLevel, JSON: true}, stderr))
		if !ok {
			log.WithError(err).WithField("hint", "try '"+cmd.CommandPath()+" --help'").Error("invalid command line")
			return exitUsage
		}
		logformat.LogProblems(log.WithField("exit_status", exit.code), exit.err, "cannot serve")
		return exit.code
	}
	if !ok { // the errors of cobra are all about the command line
		fmt.Fprintf(stderr, "ehlogate: %s\nTry '%s --help'.\n", printable.EscapeExcept(err.Error(), "\n\t"), cmd.CommandPath())
		return exitUsage
	}
	if exit.err != nil {
		reportError(stderr, exit.err)
	}
	return exit.code
}

// logsJSON reports whether the log of serve is JSON by its config, as far as that can be read.
func logsJSON(serve *cobra.Command) bool {
	f := serve.Flag("config")
	return f != nil && config.Salvage(f.Value.String()).JSON
}

// reportError writes an error, and each problem of a list or a config on lines of its own, between the words that the error
// has before and after it.
func reportError(w io.Writer, err error) {
	part, report := "", ""
	if problems, ok := errors.AsType[*diag.Problems](err); ok {
		part, report = problems.Error(), problems.Report("error")
	} else if unread, ok := errors.AsType[filewatch.ReadError](err); ok {
		part, report = unread.Error(), unread.Report("error")
	}
	show := func(format, text string) {
		if text = strings.Trim(text, ": \n"); text != "" {
			fmt.Fprintf(w, format, printable.EscapeExcept(text, "\n\t"))
		}
	}
	if part == "" {
		show("ehlogate: %s\n", err.Error())
		return
	}
	before, after, _ := strings.Cut(err.Error(), part)
	show("ehlogate: %s:\n", before)
	fmt.Fprint(w, report)
	show("%s\n", after)
}
