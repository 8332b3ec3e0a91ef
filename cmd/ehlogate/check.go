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
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/feed"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

func newCheck(o *options) *cobra.Command {
	var list, format string
	var elsewhere bool
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Check the config and the lists",
		Long: `Checks the config and every list in it. Reports all errors at once, each with
its line, a caret and what to write instead. Warnings do not change the exit
status. They flag valid but suspicious entries: duplicates, entries that have
expired, that a wider one covers, that are in two lists, or that never count: a
list before theirs always matches first, no client can have the address, or no
protocol in [listen] passes names. DNS lists are not queried; use "ehlogate
doctor" or "ehlogate explain" for that.

It also checks whether "ehlogate serve" could open the sockets in [listen] on
this machine: group, directory, address, and whether another program listens
there. Run as root, it does not know what the user of the service may do.

With a FILE it checks only that file, as the validate step of a deployment tool
does. A name that ends in .toml is a config and is checked with its lists. Any
other file is a list file. The list in the config that has this file, or --list,
determines its format and the entries that it may contain.

Exit status 1 if there is an error, 0 otherwise. See ehlogate(8) for more, and
ehlogate.list(5) for the formats.`,
		Example: "  ehlogate check\n  ehlogate check --list broken-tls /tmp/new.list\n  ehlogate check --format drop /tmp/drop_v4.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c := checker{out: cmd.OutOrStdout(), lint: listfile.Lint{Now: time.Now()}, elsewhere: elsewhere}
			switch {
			case len(args) == 0 && list+format != "":
				return errors.New("--list and --format need a FILE to check")
			case len(args) == 0:
				c.checkConfig(o.config)
			default:
				if err := c.checkFiles(o, args, list, format); err != nil {
					return err
				}
			}
			if w := &c.lint.Warnings; w.Total > 0 {
				fmt.Fprint(c.out, w.Report("warning"))
			}
			if c.failed {
				return exitError{code: exitWrong}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&list, "list", "", "check the files as files of the list `NAME` of the config")
	cmd.Flags().StringVar(&format, "format", "", "the format `NAME` of files that belong to no list: "+strings.Join(feed.Formats(), ", "))
	cmd.Flags().BoolVar(&elsewhere, "elsewhere", false, "the config is for another machine: do not check its sockets on this one")
	cmd.MarkFlagsMutuallyExclusive("list", "format")
	return cmd
}

// ownFormat is the name of the format of ehlogate.list(5) in the config.
const ownFormat = "list"

// parseGrammar returns the grammar of a format of the config; nil is that of ehlogate.list(5).
func parseGrammar(format string) (listfile.Grammar, error) {
	if format == "" || format == ownFormat {
		return nil, nil
	}
	f, err := feed.ParseFormat(format)
	if err != nil {
		return nil, fmt.Errorf("--format: unknown format %q: write %q or one of %s", format, ownFormat, strings.Join(feed.Formats(), ", "))
	}
	return f, nil
}

// isFormat reports whether the files of a list are in a format, whichever of their entries count.
func isFormat(list, format listfile.Grammar) bool {
	if list == nil || format == nil {
		return list == format
	}
	return fmt.Sprint(list) == fmt.Sprint(format)
}

// checker writes what it finds as it goes along.
type checker struct {
	out    io.Writer
	lint   listfile.Lint
	failed bool
	// elsewhere: the config is for another machine.
	elsewhere bool
}

func (c *checker) addError(err error) {
	c.failed = true
	reportError(c.out, err)
}

func (c *checker) checkConfig(name string) {
	cfg, err := config.Load(name)
	if err != nil {
		c.addError(err)
		return
	}
	if cfg.File == "" {
		fmt.Fprintf(c.out, "no config file: the built-in defaults are fine (%s does not exist)\n", config.DefaultFile)
		c.checkSockets(cfg)
		return
	}
	fmt.Fprintf(c.out, "%s: fine\n", cfg.File)
	c.checkSockets(cfg)
	c.warnIfRemote(cfg)
	if d := cfg.Guard.Domains; len(d) > 0 {
		fmt.Fprintf(c.out, "guard: policies of %s (not queried)\n", strings.Join(d, ", "))
	}
	for _, l := range cfg.Lists {
		title := fmt.Sprintf("list %q", l.Name)
		if l.IsDNSList() {
			fmt.Fprintf(c.out, "%s: fine, %s (not queried)\n", title, formatCount(len(l.Zones.Zones), "DNS zone", "DNS zones"))
			continue
		}
		if list := c.checkList(title, l.Name, l.Spec, l.Mode, describeMode(cfg, l)); list != nil {
			c.warnAboutNames(cfg, l, list)
		}
	}
}

// checkList checks a list, and returns it if it is fine. more is what else to say about it then.
func (c *checker) checkList(title, name string, spec listfile.Spec, mode lists.Mode, more string) *listfile.List {
	l, err := c.lint.Check(name, spec, mode)
	if err != nil {
		c.addError(err)
		return nil
	}
	in := ""
	if spec.Format != nil {
		in = fmt.Sprintf(" in format %v", spec.Format)
	}
	fmt.Fprintf(c.out, "%s: fine, %s%s%s\n", title, formatCount(l.Status().Entries, "entry", "entries"), in, more)
	c.warnIfExpired(name, l)
	return l
}

func (c *checker) warnIfExpired(name string, l *listfile.List) {
	st, limit := l.Status(), l.Spec().ExpireAfter
	if !st.Expired {
		return
	}
	age := c.lint.Now.Sub(st.ExpiresAt.Add(-limit))
	c.lint.Warnings.Add(diag.Problem{
		File: st.Oldest,
		Msg:  fmt.Sprintf("it is %s old and expire_after is %s, so list %q is unavailable", formatAge(age), formatAge(limit), name),
		Hint: "see why it is no longer fetched; if there was nothing new to fetch, touch it each time",
	})
}

// formatAge returns d in words, rounded down.
func formatAge(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return formatCount(int(d/day), "day", "days")
	case d >= 2*time.Hour:
		return formatCount(int(d/time.Hour), "hour", "hours")
	}
	return formatCount(int(d/time.Minute), "minute", "minutes")
}

func formatCount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// checkFiles checks single files, those of one list together. Files that belong to no list are in the format.
func (c *checker) checkFiles(o *options, names []string, list, format string) error {
	grammar, err := parseGrammar(format)
	if err != nil {
		return err
	}
	cfg, err := o.loadConfig()
	if err != nil {
		if list != "" || o.config != "" {
			return exitError{exitWrong, err}
		}
		cfg = config.Defaults() // a broken config is no reason not to check a list
	}
	specs := make(map[string]*listfile.Spec)
	var order []string
	for _, name := range names {
		if name == "" {
			return errors.New("empty file name")
		}
		if strings.HasSuffix(name, ".toml") {
			c.checkConfig(name)
			continue
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return exitError{exitWrong, err}
		}
		found, err := findLists(cfg, abs, list)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			found = []config.List{{Spec: listfile.Spec{Rules: listfile.Rules{AnyAction: true}, Format: grammar}}}
		}
		for _, l := range found {
			if format != "" && !isFormat(l.Spec.Format, grammar) {
				return exitError{exitWrong, fmt.Errorf("%s belongs to list %q, which has another format: leave out --format", name, l.Name)}
			}
			if specs[l.Name] == nil {
				specs[l.Name] = &listfile.Spec{Rules: l.Spec.Rules, Format: l.Spec.Format, MaxEntries: cfg.MaxEntries, Named: true}
				order = append(order, l.Name)
			}
			specs[l.Name].Patterns = append(specs[l.Name].Patterns, filewatch.EscapeGlob(abs))
		}
	}
	for _, name := range order {
		title := fmt.Sprintf("list %q", name)
		if name == "" {
			title = "file of no list in the config (rules that depend on an action are not checked)"
		}
		c.checkList(title, name, *specs[name], lists.Enforce, "")
	}
	return nil
}

// findLists returns the lists that a file belongs to, or the list of that name; none if it belongs to no list.
func findLists(cfg *config.Config, path, list string) (found []config.List, err error) {
	var known []string
	for _, l := range cfg.Lists {
		known = append(known, l.Name)
		if l.Name == list {
			if l.IsDNSList() {
				return nil, exitError{exitWrong, fmt.Errorf("list %q is a DNS list and has no files", list)}
			}
			return []config.List{l}, nil
		}
		for _, pattern := range l.Spec.Patterns {
			if ok, _ := filepath.Match(pattern, path); ok {
				found = append(found, l)
				break
			}
		}
	}
	if list != "" {
		return nil, exitError{exitWrong, fmt.Errorf("no list %q in the config, only %q", list, known)}
	}
	return found, nil
}
