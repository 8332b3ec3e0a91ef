package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
)

// options are the flags that all commands share.
type options struct {
	config string
}

func (o *options) loadConfig() (*config.Config, error) { return config.Load(o.config) }

// newRoot returns the command line. A new command is added here.
func newRoot() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "ehlogate",
		Short: "Decides which SMTP clients are offered STARTTLS",
		Long: `At the start of every SMTP session a mail server queries ehlogate: may this
client be offered STARTTLS? Clients on an allow list are offered it.
Clients on a deny list do not see the keyword and send in the clear.

The lists are plain files. The daemon follows them while it runs:

    192.0.2.0/24                    # a network; the text behind # is a note
    !192.0.2.13                     # an exception
    mail.example.org                # a verified host name
    198.51.100.4 until=2026-12-01   # expires by itself

The package starts the daemon ("ehlogate serve"). "ehlogate check" checks what
you edited, "ehlogate explain 192.0.2.7" shows a decision and its reason, and
"ehlogate doctor" checks the mail server. The man pages have the rest:
ehlogate(8), ehlogate.toml(5) and ehlogate.list(5).` + missingParts(runtime.GOOS),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.PersistentFlags().StringVarP(&o.config, "config", "c", "",
		"config `FILE` (default "+config.DefaultFile+" if it exists, else built-in defaults)")
	root.SetUsageFunc(printUsage)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		text, why, isValue := strings.Cut(err.Error(), ": strconv.")
		switch {
		case !isValue:
			return err
		case strings.HasPrefix(why, "ParseBool"):
			return errors.New(text + ": write the flag alone, without a value")
		}
		return errors.New(text + ": write a whole number")
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(&o), newCheck(&o), newExplain(&o), newExport(&o), newDoctor(&o), newHealthcheck(&o), newReplay(&o), newFallback(&o), newList(&o), newTLSRPT(&o), newImport(), newVersion())
	addCompletions(root)
	refuseUnknownTopics(root)
	return root
}

// missingParts says what ehlogate does without on another system than Linux.
func missingParts(system string) string {
	if system == "linux" {
		return ""
	}
	return `

This system is not Linux, so ehlogate does without some parts: sockets and
notifications of systemd, the journal, [limit] cpu_pressure, loading nftables
sets, a low priority while a large list loads, and the names of processes that
use a socket. What it does here is compiled, and not tested.`
}

// refuseArguments is for the commands that take no argument.
func refuseArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: write options only", args[0])
	}
	return nil
}

// refuseBoth makes a command fail that has two flags of which only one can count.
func refuseBoth(cmd *cobra.Command, one, other string) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed(one) && cmd.Flags().Changed(other) {
			return fmt.Errorf("--%s and --%s cannot go together: leave out one of them", one, other)
		}
		if before == nil {
			return nil
		}
		return before(cmd, args)
	}
}

// refuseUnknownTopics makes "ehlogate help" fail for what is no command, as any other wrong command line does.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		show := help.Run
		help.Run = nil
		help.RunE = func(cmd *cobra.Command, args []string) error {
			if found, rest, err := root.Find(args); err != nil || found == root && len(rest) > 0 {
				return fmt.Errorf("unknown help topic %q", strings.Join(args, " "))
			}
			show(cmd, args)
			return nil
		}
	}
}
