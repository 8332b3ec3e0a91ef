package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
	"ehlogate/lists/printable"
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
protocol in [listen] passes names. So do lists with exceptions only, and lists
that suppress no client while DNS fails. DNS lists are not queried; use
"ehlogate doctor" or "ehlogate explain" for that.

It also checks whether "ehlogate serve" could open the sockets in [listen] on
this machine: group, directory, address, and whether another program listens
there, and warns of logs in [logs] and of a CPU pressure that it could not read.
Run as root, it does not know what the user of the service may do.

With a FILE it checks only that file, as the validate step of a deployment tool
does. A name that ends in .toml is a config and is checked with its lists. Any
other file is a list file. The list in the config that has this file, or --list,
determines its format and the entries that it may contain.

Exit status 1 if there is an error, 0 otherwise. See ehlogate(8) for more, and
ehlogate.list(5) for the formats.`,
		Example: "  ehlogate check\n  ehlogate check --list broken-tls /tmp/new.list\n  ehlogate check --format drop /tmp/drop_v4.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			// Nearly all that is in use has no pointers, and costs nothing to collect.
			defer debug.SetGCPercent(debug.SetGCPercent(20))
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
	refuseBoth(cmd, "list", "format")
	return cmd
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
	fmt.Fprintf(c.out, "%s: fine\n", printable.Escape(cfg.File))
	c.checkSockets(cfg)
	c.checkLogs(cfg)
	c.checkPressure(cfg)
	c.warnIfRemote(cfg)
	if d := cfg.Guard.Domains; len(d) > 0 {
		fmt.Fprintf(c.out, "guard: policies of %s (not queried)\n", strings.Join(d, ", "))
	}
	loaded := make(map[string]*listfile.List)
	for i, l := range cfg.Lists {
		title := fmt.Sprintf("list %q", l.Name)
		if l.IsDNSList() {
			fmt.Fprintf(c.out, "%s: fine, %s (not queried)\n", title, formatCount(len(l.Zones.Zones), "DNS zone", "DNS zones"))
			continue
		}
		if l.IsLearned() {
			fmt.Fprintf(c.out, "%s: fine, learns from logs%s\n", title, describeLearned(cfg, l))
			continue
		}
		isCompared := slices.ContainsFunc(cfg.Lists[i+1:], func(l config.List) bool { return len(l.Spec.Patterns) > 0 && l.Spec.Format == nil })
		if list := c.checkList(title, l.Name, l.Spec, l.Mode, describeMode(cfg, l), isCompared); list != nil {
			loaded[l.Name] = list
			c.warnAboutNames(cfg, l, list)
		}
	}
	if never := cfg.Learn.Never; cfg.Learns() && len(never.Patterns) > 0 {
		c.checkNever(never)
	}
	c.warnAboutOrder(cfg, loaded)
}

// checkNever checks the files of [learn] never. They are no list of the policy: what other lists have does not make an entry
// there superfluous.
func (c *checker) checkNever(never listfile.Spec) {
	alone := checker{out: c.out, lint: listfile.Lint{Now: c.lint.Now, Warnings: c.lint.Warnings}}
	alone.checkList(state.NeverName, state.NeverName, never, lists.Enforce, "", false)
	c.failed, c.lint.Warnings = c.failed || alone.failed, alone.lint.Warnings
}

// describeLearned returns what check says about the mode of a list that learns.
func describeLearned(cfg *config.Config, l config.List) string {
	switch {
	case l.Mode == lists.Observe:
		return `, observes (write mode = "enforce" once its log lines are right)`
	case l.Learn == config.LearnFallback && cfg.Mode == lists.Enforce:
		return fmt.Sprintf(`, observes until logs have been followed for %s in all ([fallback] observe_for)`, formatAge(cfg.Learn.ObserveFor))
	}
	return ""
}

// warnAboutOrder warns of lists of files that suppress behind a list that needs DNS.
func (c *checker) warnAboutOrder(cfg *config.Config, loaded map[string]*listfile.List) {
	usesNames := func(l config.List) bool { return loaded[l.Name] != nil && loaded[l.Name].UsesNames() }
	for l, before := range cfg.BehindDNS(usesNames) {
		c.lint.Warnings.Add(diag.Problem{File: cfg.File,
			Msg:  fmt.Sprintf("list %q suppresses no client while DNS fails: list %q comes first, needs DNS, and then decides with an offer", l.Name, before.Name),
			Hint: fmt.Sprintf("put the [[list]] section of %q above that of %q", l.Name, before.Name)})
	}
}

// checkList checks a list, and returns it if it is fine. more is what else to say about it then. If compare is true, lists that
// are checked after it are compared with it.
func (c *checker) checkList(title, name string, spec listfile.Spec, mode lists.Mode, more string, compare bool) *listfile.List {
	l, err := c.lint.Check(name, spec, mode, compare)
	if err != nil {
		c.addError(err)
		return nil
	}
	in := ""
	if spec.Format != nil {
		in = fmt.Sprintf(" in format %v", spec.Format)
	}
	count := formatCount(l.Status().Entries, "entry", "entries")
	if n := l.Status().Exceptions; n > 0 {
		count += " and " + formatCount(n, "exception", "exceptions")
	}
	fmt.Fprintf(c.out, "%s: fine, %s%s%s\n", title, count, in, more)
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
	case d >= 2*time.Minute:
		return formatCount(int(d/time.Minute), "minute", "minutes")
	}
	return formatCount(int(d/time.Second), "second", "seconds")
}

func formatCount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
