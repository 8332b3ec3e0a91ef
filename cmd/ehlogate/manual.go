package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ehlogate/cmd/ehlogate/internal/config"
)

// addManual adds what teaches the use of the commands in root: help topics,
// and the source of the manual pages, which are made of what --help says and
// of the comments in the example config, so that nothing is written twice.
func addManual(root *cobra.Command) {
	root.AddCommand(newListsTopic(), &cobra.Command{
		Use:       "manual {ehlogate | ehlogate.list | ehlogate.toml FILE}",
		Short:     "Write a page of the manual, in Markdown for go-md2man",
		Hidden:    true,
		ValidArgs: []string{"ehlogate", "ehlogate.list", "ehlogate.toml"},
		RunE: func(cmd *cobra.Command, args []string) error {
			page, err := manualPage(root, args)
			if err == nil {
				_, err = io.WriteString(cmd.OutOrStdout(), page)
			}
			return err
		},
	})
}

func manualPage(root *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) == 1 && args[0] == "ehlogate":
		return commandsPage(root), nil
	case len(args) == 1 && args[0] == "ehlogate.list":
		return listsPage(), nil
	case len(args) == 2 && args[0] == "ehlogate.toml":
		text, err := os.ReadFile(args[1])
		if err != nil {
			return "", exitError{exitWrong, err}
		}
		return configPage(string(text)), nil
	}
	return "", fmt.Errorf("there are: manual ehlogate, manual ehlogate.list, manual ehlogate.toml FILE")
}

// page is Markdown of the kind that go-md2man reads: the first heading is the
// title, "##" a section.
type page struct{ strings.Builder }

func newPage(name string, section int, does string) *page {
	var p page
	volume := "System Administration"
	if section == 5 {
		volume = "File Formats"
	}
	// Without a date: what counts is the version.
	fmt.Fprintf(&p, "# %s %d \"\" \"ehlogate %s\" %q\n\n", strings.ToUpper(name), section, version(), volume)
	p.heading("##", "NAME")
	fmt.Fprintf(&p, "%s - %s\n\n", name, does)
	return &p
}

func (p *page) heading(level, text string) { fmt.Fprintf(p, "%s %s\n\n", level, literal(text)) }

// define adds an entry of a definition list. The term is Markdown.
func (p *page) define(term, text string) {
	fmt.Fprintf(p, "%s\n: %s\n\n", term, literal(strings.Join(strings.Fields(text), " ")))
}

// text adds what was written for a terminal: paragraphs, examples indented by
// four spaces, and headings, which are lines in capitals.
func (p *page) text(text string) {
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		switch {
		case block == "":
		case strings.HasPrefix(block, "    "):
			// Four more, since go-md2man takes away those that make it an example.
			p.WriteString("    " + strings.ReplaceAll(block, "\n", "\n    ") + "\n\n")
		case isHeading(block):
			p.heading("##", block)
		default:
			p.WriteString(literal(block) + "\n\n")
		}
	}
}

func isHeading(block string) bool {
	return !strings.ContainsAny(block, "\n.:,") && block == strings.ToUpper(block)
}

// literal is text in which nothing means anything to Markdown.
func literal(text string) string {
	var b strings.Builder
	start := true
	for _, c := range text {
		if strings.ContainsRune("\\`*_{}[]()<>&|~!", c) || start && strings.ContainsRune("#+-:", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
		start = c == '\n' || start && c == ' '
	}
	return b.String()
}

// commandsPage is ehlogate(8).
func commandsPage(root *cobra.Command) string {
	p := newPage("ehlogate", 8, strings.ToLower(root.Short[:1])+root.Short[1:])
	p.heading("##", "SYNOPSIS")
	p.WriteString("**ehlogate** *COMMAND* \\[*OPTION*...\\] \\[*ARGUMENT*...\\]\n\n")
	p.heading("##", "DESCRIPTION")
	p.text(root.Long)
	p.heading("##", "COMMANDS")
	for _, cmd := range root.Commands() {
		if cmd.Hidden || !cmd.Runnable() || cmd.Name() == "help" {
			continue
		}
		p.heading("###", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		if cmd.Long == "" {
			p.text(cmd.Short + ".")
		}
		p.text(cmd.Long)
		p.flags(cmd.LocalNonPersistentFlags())
		if cmd.Example != "" {
			p.text("For example")
			p.text("  " + strings.ReplaceAll(cmd.Example, "\n", "\n  "))
		}
	}
	p.heading("##", "OPTIONS OF ALL COMMANDS")
	p.flags(root.PersistentFlags())
	p.define("**-h**, **--help**", "say what the command does")
	p.heading("##", "EXIT STATUS")
	p.define("0", "All is well.")
	p.define(fmt.Sprint(exitWrong), "What was asked about is wrong: a config, a list, the configuration of a mail server.")
	p.define(fmt.Sprint(exitUsage), "The command line is wrong.")
	p.define(fmt.Sprint(exitConfig), "serve cannot use the config. To start it again does not help.")
	p.heading("##", "SIGNALS")
	p.text("Of a running serve:")
	p.define("SIGHUP", "Reads config and lists again (systemctl reload ehlogate).")
	p.define("SIGTERM, SIGINT", "Ends it, after the answers that are under way.")
	p.heading("##", "FILES")
	p.define(config.DefaultFile, "The config; see ehlogate.toml(5).")
	p.define("/etc/ehlogate/lists/", "List files; see ehlogate.list(5). The config names them, so they may lie anywhere.")
	p.define(config.InheritedDir+"/", "Unix sockets that systemd holds for Postfix (ehlogate.socket): memcache, socketmap, policy, milter.")
	p.define("/usr/share/ehlogate/", "Config and lists as the package creates them, once, at its first installation.")
	p.define("/usr/share/doc/ehlogate/examples/", "What to write into the configuration of Postfix, Sendmail and Exim.")
	p.seeAlso("ehlogate.toml(5)", "ehlogate.list(5)", "postconf(5)", "memcache_table(5)", "socketmap_table(5)", "systemd.socket(5)")
	return p.String()
}

// flags defines those that are shown in --help.
func (p *page) flags(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := "**--" + f.Name + "**"
		if f.Shorthand != "" {
			term = "**-" + f.Shorthand + "**, " + term
		}
		if value != "" {
			term += " *" + value + "*"
		}
		p.define(term, usage)
	})
}

func (p *page) seeAlso(pages ...string) {
	p.heading("##", "SEE ALSO")
	for i, name := range pages {
		title, section, _ := strings.Cut(name, "(")
		end := ",\n"
		if i == len(pages)-1 {
			end = "\n"
		}
		p.WriteString("**" + literal(title) + "**(" + section + end)
	}
}
