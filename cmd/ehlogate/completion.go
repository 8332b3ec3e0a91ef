package main

import (
	"github.com/spf13/cobra"

	"ehlogate/lists/feed"

	"ehlogate/cmd/ehlogate/internal/config"
)

// addCompletions tells shells what may stand where: most commands take no
// files.
func addCompletions(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	values := func(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
		if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
			panic(err) // a flag that is not there
		}
	}
	files := func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	directories := func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	values(root, "config", cobra.FixedCompletions([]string{"toml"}, cobra.ShellCompDirectiveFilterFileExt))
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "check":
			cmd.ValidArgsFunction = files
			values(cmd, "list", listNames)
			values(cmd, "format", cobra.FixedCompletions(feed.Formats(), cobra.ShellCompDirectiveNoFileComp))
		case "export":
			values(cmd, "format", cobra.FixedCompletions([]string{"postfix-cidr"}, cobra.ShellCompDirectiveNoFileComp))
			values(cmd, "output", files)
		case "doctor":
			values(cmd, "postfix-config", directories)
			values(cmd, "saved", directories)
			values(cmd, "exim", files)
			values(cmd, "sendmail", files)
		}
	}
}

// listNames are those of the config.
func listNames(cmd *cobra.Command, _ []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	name, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	cfg, err := config.Load(name)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, l := range cfg.Lists {
		names = append(names, l.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
