package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is the version of these sources. CHANGELOG.md begins with it, and examples/debian/build reads it here.
const version = "0.9.0"

// packageVersion is the version of the Debian package, which its build sets (-X): the package has no git revision.
var packageVersion string

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the version of ehlogate, the Debian package or the git revision that it
was built from, the version of Go, and the platform.`,
		Args: refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			details := append(buildSource(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ehlogate %s (%s)\n", version, strings.Join(details, ", "))
			return err
		},
	}
}

func fullVersion() string {
	return strings.Join(append([]string{version}, buildSource()...), ", ")
}

// buildSource returns what the program was built from, if that is known: a package, or a git revision.
func buildSource() []string {
	if packageVersion != "" {
		return []string{"package " + packageVersion}
	}
	if revision := gitRevision(); revision != "" {
		return []string{"revision " + revision}
	}
	return nil
}

// gitRevision returns the git revision that the program was built from, or "" if it is not known.
func gitRevision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+modified"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + modified
}
