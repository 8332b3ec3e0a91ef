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
	if t.Files() == 0 {
		fmt.Fprintf(c.out, "%s: warning: no file matches files = [...]\n", title)
	}
}

// files checks single files, those of one list together.
func (c *checker) files(o *options, names []string, list string) error {
	cfg, err := o.load()
	if err != nil {
		if list != "" || o.config != "" {
			return exitError{exitWrong, err}
		}
		cfg = config.Defaults() // a broken config does not keep a list from being looked at
	}
	specs := make(map[string]*file.Spec)
	var order []string
	for _, name := range names {
		if name == "" {
			return errors.New("an empty file name")
		}
		if strings.HasSuffix(name, ".toml") {
			c.config(name)
			continue
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return exitError{exitWrong, err}
		}
		of, err := listsOf(cfg, abs, list)
		if err != nil {
			return err
		}
		for _, l := range of {
			if specs[l.Name] == nil {
				specs[l.Name] = &file.Spec{Rules: l.Spec.Rules, MaxEntries: cfg.MaxEntries}
				order = append(order, l.Name)
			}
			specs[l.Name].Patterns = append(specs[l.Name].Patterns, file.Literal(abs))
		}
	}
	for _, name := range order {
		title := fmt.Sprintf("list %q", name)
		if name == "" {
			title = "of no list in the config, so what depends on its action is not checked"
		}
		c.list(title, name, *specs[name])
	}
	return nil
}

// listsOf finds the lists to which a file belongs, or is to belong.
func listsOf(cfg *config.Config, path, list string) (of []config.List, err error) {
	var known []string
	for _, l := range cfg.Lists {
		known = append(known, l.Name)
		if l.Name == list {
			return []config.List{l}, nil
		}
		for _, pattern := range l.Spec.Patterns {
			if ok, _ := filepath.Match(pattern, path); ok {
				of = append(of, l)
				break
			}
		}
	}
	if list != "" {
		return nil, exitError{exitWrong, fmt.Errorf("there is no list %q in the config, only %q", list, known)}
	}
	if len(of) == 0 {
		of = []config.List{{Spec: file.Spec{Rules: file.Rules{AnyAction: true}}}}
	}
	return of, nil
}
