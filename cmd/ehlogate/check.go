package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
)

func newCheck(o *options) *cobra.Command {
	var list, format string
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Look over config and lists",
		Long: `Without arguments: reads the config and every list in it, and reports all errors
at once, each with its line, a caret and what to write instead. Warnings, which
do not make it fail, tell of entries that are correct and yet hardly meant: those
that stand twice, expired, are covered by a wider one, or stand in two lists; and
of lists whose files are older than their expire_after. Lists by DNS are asked by
"ehlogate doctor" and "ehlogate explain", not here.

With arguments: reads only these files, as the validate step of a deployment
tool does before it puts a file in place. A name that ends in .toml is a config
and is checked with its lists; anything else is a list file. Which entries a
list file may hold, and in which format, depends on its list: it is found by the
file's name in the config, or is named with --list. min_entries and expire_after
are about all files of a list, where they lie in the end, and not looked at. The
format of a file that is of no list is said by --format; see "ehlogate help
lists" for what there is.

Exit code 1 if there is an error, 0 otherwise.`,
		Example: "  ehlogate check\n  ehlogate check --list broken-tls /tmp/new.list\n  ehlogate check --format drop /tmp/drop_v4.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c := checker{out: cmd.OutOrStdout(), lint: listfile.Lint{Now: time.Now()}}
			switch {
			case len(args) == 0 && list+format != "":
				return errors.New("--list and --format say what a FILE is checked for: name one")
			case len(args) == 0:
				c.config(o.config)
			default:
				if err := c.files(o, args, list, format); err != nil {
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
	cmd.Flags().StringVar(&format, "format", "", "the format `NAME` of list files that are of no list")
	cmd.MarkFlagsMutuallyExclusive("list", "format")
	return cmd
}

// ownFormat is what the config calls that of list files.
const ownFormat = "list"

// grammar is that of a format of the config; nil: that of list files.
func grammar(format string) (listfile.Grammar, error) {
	if format == "" || format == ownFormat {
		return nil, nil
	}
	f, err := feed.ParseFormat(format)
	if err != nil {
		return nil, fmt.Errorf("--format: %q is no format: write %q or one of %s", format, ownFormat, strings.Join(feed.Formats(), ", "))
	}
	return f, nil
}

// checker reports as it goes along.
type checker struct {
	out    io.Writer
	lint   listfile.Lint
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
	if d := cfg.Guard.Domains; len(d) > 0 {
		fmt.Fprintf(c.out, "guard: what is promised for %s (not asked)\n", strings.Join(d, ", "))
	}
	for _, l := range cfg.Lists {
		title := fmt.Sprintf("list %q", l.Name)
		if l.IsDNSList() {
			fmt.Fprintf(c.out, "%s: fine, %s by DNS (not asked)\n", title, count(len(l.Zones.Zones), "zone", "zones"))
			continue
		}
		c.list(title, l.Name, l.Spec)
	}
}

func (c *checker) list(title, name string, spec listfile.Spec) {
	t, err := c.lint.Check(name, spec)
	if err != nil {
		c.error(err)
		return
	}
	in := ""
	if spec.Format != nil {
		in = fmt.Sprintf(" in format %v", spec.Format)
	}
	fmt.Fprintf(c.out, "%s: fine, %s%s\n", title, count(t.Len(), "entry", "entries"), in)
	if t.Files() == 0 {
		fmt.Fprintf(c.out, "%s: warning: no file matches files = [...]\n", title)
	}
	c.age(name, spec)
}

// age warns of a list that is too old to count.
func (c *checker) age(list string, spec listfile.Spec) {
	if spec.ExpireAfter == 0 {
		return
	}
	s, err := listfile.New(spec, func() time.Time { return c.lint.Now }).Load()
	if err != nil || !s.Status().Expired {
		return // what is wrong was said before
	}
	name, oldest := "", c.lint.Now
	for _, f := range s.Status().Files {
		if st, err := os.Stat(f); err == nil && st.ModTime().Before(oldest) {
			name, oldest = f, st.ModTime()
		}
	}
	c.lint.Warnings.Add(listfile.Problem{
		File: name,
		Msg:  fmt.Sprintf("it is %s old, and expire_after is %s, so that list %q counts as not loaded", span(c.lint.Now.Sub(oldest)), span(spec.ExpireAfter), list),
		Hint: "see why it is not fetched any more; if there was nothing new to fetch, touch it each time",
	})
}

// span is a time, rounded down.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return count(int(d/day), "day", "days")
	case d >= 2*time.Hour:
		return count(int(d/time.Hour), "hour", "hours")
	}
	return count(int(d/time.Minute), "minute", "minutes")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// files checks single files, those of one list together. Those of no list are in
// that format.
func (c *checker) files(o *options, names []string, list, format string) error {
	of, err := grammar(format)
	if err != nil {
		return err
	}
	cfg, err := o.load()
	if err != nil {
		if list != "" || o.config != "" {
			return exitError{exitWrong, err}
		}
		cfg = config.Defaults() // a broken config does not keep a list from being looked at
	}
	specs := make(map[string]*listfile.Spec)
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
		lists, err := listsOf(cfg, abs, list)
		if err != nil {
			return err
		}
		if len(lists) == 0 {
			lists = []config.List{{Spec: listfile.Spec{Rules: listfile.Rules{AnyAction: true}, Format: of}}}
		}
		for _, l := range lists {
			if format != "" && l.Spec.Format != of {
				return exitError{exitWrong, fmt.Errorf("%s is of list %q, which has another format: leave out --format", name, l.Name)}
			}
			if specs[l.Name] == nil {
				specs[l.Name] = &listfile.Spec{Rules: l.Spec.Rules, Format: l.Spec.Format, MaxEntries: cfg.MaxEntries}
				order = append(order, l.Name)
			}
			specs[l.Name].Patterns = append(specs[l.Name].Patterns, listfile.EscapeGlob(abs))
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

// listsOf finds the lists to which a file belongs, or is to belong; none, if it is
// in no list of the config.
func listsOf(cfg *config.Config, path, list string) (of []config.List, err error) {
	var known []string
	for _, l := range cfg.Lists {
		known = append(known, l.Name)
		if l.Name == list {
			if l.IsDNSList() {
				return nil, exitError{exitWrong, fmt.Errorf("list %q is one by DNS, and has no files", list)}
			}
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
	return of, nil
}
