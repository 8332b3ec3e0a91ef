package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/lists"
	"ehlogate/lists/feed"
)

// addCompletions tells shells which values the flags take. Most commands take no files.
func addCompletions(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	values := func(words ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	files := cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	directories := cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	tomlFiles := cobra.FixedCompletions([]string{"toml"}, cobra.ShellCompDirectiveFilterFileExt)
	unknown := values() // a shell cannot know them

	fallback, _, _ := root.Find([]string{"fallback"}) // there are such commands
	list, _, _ := root.Find([]string{"list"})
	for _, cmd := range slices.Concat(root.Commands(), fallback.Commands(), list.Commands(), []*cobra.Command{root}) {
		for flag, complete := range map[string]map[string]cobra.CompletionFunc{
			"ehlogate": {"config": tomlFiles},
			"check":    {"list": completeLists, "format": values(append([]string{ownFormat}, feed.Formats()...)...)},
			"explain":  {"helo": unknown, "name": unknown},
			"export": {"format": values(export.Formats()...), "output": files, "networks": files, "set": unknown, "then": unknown,
				"action":  values(lists.Offer.String(), lists.Suppress.String(), lists.Require.String()),
				"service": values(lists.SMTP.String(), lists.Submission.String()), "keyword": values(lists.KeywordNames()...)},
			"import":           {"output": directories, "prefix": unknown, "service": values(lists.SMTP.String(), lists.Submission.String())},
			"fallback promote": {"list": completeLists},
			"list add":         {"file": files, "reason": unknown, "for": unknown, "until": unknown},
			"list rm":          {"file": files, "reason": unknown},
			"list edit":        {"file": files, "reason": unknown},
			"list prune":       {"file": files, "reason": unknown},
			"list import":      {"file": files, "reason": unknown, "for": unknown, "until": unknown, "format": values(feed.Formats()...)},
			"list log":         {"last": unknown},
			"list show":        {"days": unknown},
			"list undo":        {"reason": unknown},
			"replay":           {"diff": tomlFiles, "since": unknown, "top": unknown},
			"tlsrpt":           {"log": files},
			"doctor":           {"postfix-config": directories, "saved": directories, "exim": files, "sendmail": files},
		}[strings.TrimPrefix(cmd.CommandPath(), "ehlogate ")] {
			if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
				panic(err) // there is no such flag
			}
		}
		if cmd.Name() == "check" || cmd.Name() == "import" || cmd.Name() == "replay" || cmd.Name() == "tlsrpt" {
			cmd.ValidArgsFunction = files
		}
		if cmd.Parent() == list && cmd.Name() == "show" {
			cmd.ValidArgsFunction = completeFirst(completeLists)
		} else if cmd.Parent() == list && cmd.Name() != "undo" && cmd.Name() != "find" {
			cmd.ValidArgsFunction = completeFirst(completeOwnLists)
		}
		if cmd.CommandPath() == "ehlogate list import" {
			cmd.ValidArgsFunction = completeImport
		}
	}
}

// completeLists completes the names of all lists.
func completeLists(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completeNames(cmd, func(*config.List) bool { return true })
}

// completeOwnLists completes the names of the lists that operators edit.
func completeOwnLists(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completeNames(cmd, listedit.IsOwn)
}

func completeNames(cmd *cobra.Command, wanted func(*config.List) bool) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	cfg, err := config.Load(file)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for i := range cfg.Lists {
		if l := &cfg.Lists[i]; wanted(l) {
			names = append(names, l.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFirst completes the first argument alone.
func completeFirst(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, toComplete)
	}
}

// completeImport completes the name of a list, and then a file.
func completeImport(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return completeFirst(completeOwnLists)(cmd, args, toComplete)
}
