package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/file"
)

func newCheck(o *options) *cobra.Command {
	var list string
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Look over config and lists",
		Long: `Without arguments: reads the config and every list in it, and reports all errors
at once, each with its line, a caret and what to write instead. Warnings, which
do not make it fail, tell of entries that are correct and yet hardly meant: those
that stand twice, expired, are covered by a wider one, or stand in two lists.

With arguments: reads only these files, as the validate step of a deployment
tool does before it puts a file in place. A name that ends in .toml is a config
and is checked with its lists; anything else is a list file. Which entries a
list file may hold depends on its list: it is found by the file's name in the
config, or is named with --list.

Exit code 1 if there is an error, 0 otherwise.`,
		Example: "  ehlogate check\n  ehlogate check --list broken-tls /tmp/new.list",
		RunE: func(cmd *cobra.Command, args []string) error {
			c := checker{out: cmd.OutOrStdout(), lint: file.Lint{Now: time.Now()}}
			switch {
			case len(args) == 0 && list != "":
				return errors.New("--list says what a FILE is checked for: name one")
			case len(args) == 0:
				c.config(o.config)
			default:
				if err := c.files(o, args, list); err != nil {
					return err
				}
			}
			if w := &c.lint.Warnings; w.Total > 0 {
				fmt.Fprint(c.out, w.Show("warning"))
			}
			if c.failed {
				return exitError{code: exitWrong}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&list, "list", "", "check list files for the list `NAME` of the config")
	return cmd
}

// checker reports as it goes along.
type checker struct {
	out    io.Writer
	lint   file.Lint
	failed bool
}

func (c *checker) error(err error) {
	c.failed = true
	report(c.out, err)
}

// config checks a config and every list in it.
func (c *checker) config(name string) {
	cfg, err := config.Load(name)
	if err != nil {
		c.error(err)
		return
	}
	if cfg.File == "" {
		fmt.Fprintf(c.out, "no config file: the built-in defaults are fine (%s does not exist)\n", config.DefaultFile)
		return
	}
	fmt.Fprintf(c.out, "%s: fine\n", cfg.File)
	for _, l := range cfg.Lists {
		c.list(fmt.Sprintf("list %q", l.Name), l.Name, l.Spec)
	}
}

func (c *checker) list(title, name string, spec file.Spec) {
	t, err := c.lint.Check(name, spec)
	if err != nil {
		c.error(err)
		return
	}
	entries := "entries"
	if t.Len() == 1 {
		entries = "entry"
	}
	fmt.Fprintf(c.out, "%s: fine, %d %s\n", title, t.Len(), entries)
}

// files checks single files.
func (c *checker) files(o *options, names []string, list string) error {
	cfg, err := o.load()
	if err != nil {
		if list != "" || o.config != "" {
			return exitError{exitWrong, err}
		}
		cfg = config.Defaults() // a broken config does not keep a list from being looked at
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".toml") {
			c.config(name)
			continue
		}
		rules, as, err := rulesFor(cfg, name, list)
		if err != nil {
			return err
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return exitError{exitWrong, err}
		}
		c.list(name+as, name, file.Spec{Patterns: []string{abs}, Rules: rules})
	}
	return nil
}

// rulesFor finds the rules for a list file.
func rulesFor(cfg *config.Config, name, list string) (rules file.Rules, as string, err error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return rules, "", exitError{exitWrong, err}
	}
	var known []string
	for _, l := range cfg.Lists {
		known = append(known, l.Name)
		if l.Name == list {
			return l.Spec.Rules, fmt.Sprintf(" (as %s)", l.Name), nil
		}
		for _, pattern := range l.Spec.Patterns {
			if ok, _ := filepath.Match(pattern, abs); ok && list == "" {
				return l.Spec.Rules, fmt.Sprintf(" (as %s)", l.Name), nil
			}
		}
	}
	if list != "" {
		return rules, "", exitError{exitWrong, fmt.Errorf("there is no list %q in the config, only %q", list, known)}
	}
	return file.Rules{AnyAction: true}, " (of no list in the config: what depends on its action is not checked)", nil
}
